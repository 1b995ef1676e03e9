"""CORS: browser apps on other origins, and mobile apps that run in a web view."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from support import Service, new_phone, running

WEB = "https://app.example.com"
APP = "capacitor://localhost"
OTHER_ORIGINS = (
    "https://other.example.com",
    "https://app.example.com.evil.example",
    "null",
    APP + "x",
)
EXPOSED = {
    "location",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "x-request-id",
    "www-authenticate",
}


@pytest.fixture
async def open_service(database_url: str) -> AsyncIterator[Service]:
    origins = f"{WEB},{APP}"
    async with running(
        database_url, REFERRAL_CORS_ORIGINS=origins, REFERRAL_RESEND_WAITS="60"
    ) as service:
        yield service


async def preflight(
    service: Service, origin: str, *, path: str = "/api/v1/profile", headers: str = ""
) -> httpx.Response:
    sent = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    if headers:
        sent["Access-Control-Request-Headers"] = headers
    return await service.http.options(path, headers=sent)


@pytest.mark.parametrize("origin", [WEB, APP])
@pytest.mark.parametrize(
    "headers",
    [
        "authorization,content-type",
        "authorization,baggage,sentry-trace,traceparent,tracestate,x-requested-with",
        "x-anything-else",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/profile", "/api/v1/nowhere", "/api/v1/auth/verify"])
async def test_preflight_may_ask_for_any_header(
    open_service: Service, origin: str, headers: str, path: str
) -> None:
    response = await preflight(open_service, origin, path=path, headers=headers)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == origin
    methods = response.headers["access-control-allow-methods"].split(", ")
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(methods)
    assert response.headers.get("access-control-allow-headers", "") == headers
    assert "access-control-allow-credentials" not in response.headers
    assert {"Origin", "Access-Control-Request-Headers"} <= set(response.headers["vary"].split(", "))
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("origin", OTHER_ORIGINS)
async def test_other_origins_may_read_nothing(open_service: Service, origin: str) -> None:
    for response in (
        await preflight(open_service, origin, headers="authorization"),
        await open_service.get("/api/v1/profile", Origin=origin),
    ):
        assert not [name for name in response.headers if name.startswith("access-control-")]
        assert "Origin" in response.headers["vary"]


async def test_allowed_origins_may_read_errors_too(open_service: Service) -> None:
    phone = new_phone()
    body = {"phone": phone}
    calls = [
        ("POST", "/api/v1/auth/send-code", body, 200),
        ("POST", "/api/v1/auth/send-code", body, 429),
        ("POST", "/api/v1/auth/send-code", {"phone": "x"}, 400),
        ("POST", "/api/v1/auth/send-code", {"phone": "x" * 70_000}, 413),
        ("GET", "/api/v1/profile", None, 401),
        ("GET", "/api/v1/nowhere", None, 404),
        ("DELETE", "/api/v1/auth/verify", None, 405),
        ("HEAD", "/api/v1/profile", None, 401),
    ]
    for method, path, json, status in calls:
        for origin in (WEB, APP):
            response = await open_service.http.request(
                method, path, json=json, headers={"Origin": origin}
            )
            if status != 200 or origin == WEB:
                assert response.status_code == status, response.text
            assert response.headers["access-control-allow-origin"] == origin
            exposed = response.headers["access-control-expose-headers"].lower().split(", ")
            assert set(exposed) == EXPOSED
            assert "access-control-allow-credentials" not in response.headers


async def test_keys_are_open_to_every_origin(service: Service) -> None:
    """No origin needs to be allowed in the settings, and the request may carry tracing headers."""
    path = "/.well-known/jwks.json"
    for origin in (*OTHER_ORIGINS, WEB):
        response = await service.get(path, Origin=origin)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "*"
        allowed = await preflight(service, origin, path=path, headers="traceparent")
        assert allowed.status_code == 204
        assert allowed.headers["access-control-allow-origin"] == "*"
        assert allowed.headers["access-control-allow-headers"] == "traceparent"
    response = await service.get("/api/v1/profile", Origin=WEB)
    assert "access-control-allow-origin" not in response.headers
