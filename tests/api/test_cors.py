"""Pages of other origins, and apps that are pages."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from support import Service, new_phone, running

WEB = "https://app.example.com"
APP = "capacitor://localhost"
STRANGERS = ("https://other.example.com", "https://app.example.com.evil.example", "null", APP + "x")
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
    asked = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    return await service.http.options(path, headers=asked)


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
async def test_a_preflight_may_ask_for_any_header(
    open_service: Service, origin: str, headers: str, path: str
) -> None:
    answer = await preflight(open_service, origin, path=path, headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == origin
    methods = answer.headers["access-control-allow-methods"].split(", ")
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(methods)
    assert answer.headers.get("access-control-allow-headers", "") == headers
    assert "access-control-allow-credentials" not in answer.headers
    assert {"Origin", "Access-Control-Request-Headers"} <= set(answer.headers["vary"].split(", "))
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("origin", STRANGERS)
async def test_a_stranger_may_read_nothing(open_service: Service, origin: str) -> None:
    for answer in (
        await preflight(open_service, origin, headers="authorization"),
        await open_service.get("/api/v1/profile", Origin=origin),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert "Origin" in answer.headers["vary"]


async def test_every_answer_may_be_read_errors_too(open_service: Service) -> None:
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
            answer = await open_service.http.request(
                method, path, json=json, headers={"Origin": origin}
            )
            if status != 200 or origin == WEB:
                assert answer.status_code == status, answer.text
            assert answer.headers["access-control-allow-origin"] == origin
            exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
            assert set(exposed) == EXPOSED
            assert "access-control-allow-credentials" not in answer.headers


async def test_keys_are_open_to_every_origin(service: Service) -> None:
    """Also where no origin is set, and for a page whose requests are traced."""
    path = "/.well-known/jwks.json"
    for origin in (*STRANGERS, WEB):
        answer = await service.get(path, Origin=origin)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
        asked = await preflight(service, origin, path=path, headers="traceparent")
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == "*"
        assert asked.headers["access-control-allow-headers"] == "traceparent"
    answer = await service.get("/api/v1/profile", Origin=WEB)
    assert "access-control-allow-origin" not in answer.headers
