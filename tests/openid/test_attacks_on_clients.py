"""Attacks at the endpoints that apps call: credentials of clients, and pages of other origins."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote, urlencode

import httpx
import pytest

from pages import browsing
from relying_party import CALLBACK, LOOPBACK, VERIFIER, App, register
from support import Service, ok

SPA = "https://spa.example"
PATHS = ("/oauth/token", "/oauth/revoke", "/oauth/userinfo")


def basic(client_id: str, secret: str) -> str:
    return "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()


def every_character(text: str) -> str:
    """Percent-encode every character."""
    return "".join(f"%{ord(letter):02X}" for letter in text)


async def exchange(
    app: App, code: str, *authorization: str, path: str = "/oauth/token", **form: str
) -> httpx.Response:
    """Call the token endpoint with these headers, without the helper's own credentials."""
    given = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": app.redirect_uri,
        "code_verifier": VERIFIER,
        **form,
    }
    headers = [(b"Content-Type", b"application/x-www-form-urlencoded")]
    headers += [(b"Authorization", each.encode("latin-1")) for each in authorization]
    return await app.service.http.post(path, content=urlencode(given), headers=headers)


def error_of(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["cache-control"] == "no-store"
    return response.status_code, response.json()["error"]


async def test_basic_credentials_may_be_percent_encoded(service: Service) -> None:
    """RFC 6749, section 2.3.1: in whole, in part, or not at all."""
    app = await register(service)
    assert app.secret is not None
    async with browsing(service) as browser:
        for encode in (every_character, quote, str):
            code = await app.code(browser)
            header = basic(encode(app.client_id), encode(app.secret))
            ok(await exchange(app, code, header))
            twice = basic(app.client_id, every_character(every_character(app.secret)))
            assert error_of(await exchange(app, code, twice)) == (401, "invalid_client")


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
async def test_wrong_credentials_are_refused(service: Service, path: str) -> None:
    """Also those that no database stores. None of them uses the code up."""
    app, other = await register(service), await register(service)
    assert app.secret is not None
    assert other.secret is not None
    async with browsing(service) as browser:
        code = await app.code(browser)
    good, (client_id, secret) = basic(app.client_id, app.secret), (app.client_id, app.secret)
    refused: dict[str, list[tuple[str, ...]]] = {
        "invalid_client": [
            *[(basic(client_id, each),) for each in ("", "%00", "%ff", "%", secret.upper())],
            *[(basic(each, secret),) for each in ("", "%00", f"{client_id}%00", "%ff", "%F0%9F")],
            (basic(client_id, other.secret),),
            (basic(client_id.upper(), secret),),
            ("Basic",),
            ("Basic \xe9",),
            ("Basic " + b64encode(client_id.encode()).decode(),),
            (f"Bearer {secret}",),
            (),
        ],
        "invalid_request": [(good, good)],
    }
    for error, attempts in refused.items():
        for headers in attempts:
            status, found = error_of(await exchange(app, code, *headers, path=path))
            assert (status in {400, 401}, found) == (True, error), headers
    for form in (
        {"client_id": client_id},
        {"client_id": client_id, "client_secret": other.secret},
        {"client_id": other.client_id, "client_secret": secret},
        {"client_secret": secret},
    ):
        response = await exchange(app, code, path=path, **form)
        assert error_of(response) == (401, "invalid_client"), form
    ok(await app.exchange(code))


async def test_two_methods_at_once_are_refused(service: Service) -> None:
    """RFC 6749, section 2.3. The client_id may be repeated in the form if it is the same."""
    app, other = await register(service), await register(service)
    assert app.secret is not None
    header = basic(app.client_id, app.secret)
    async with browsing(service) as browser:
        code = await app.code(browser)
    for form in (
        {"client_secret": app.secret},
        {"client_id": app.client_id, "client_secret": app.secret},
        {"client_id": other.client_id},
    ):
        found = error_of(await exchange(app, code, header, **form))
        assert found == (400, "invalid_request"), form
    ok(await exchange(app, code, header, client_id=app.client_id))


async def test_a_parameter_given_twice_is_refused(service: Service) -> None:
    app = await register(service)
    for name in ("grant_type", "code", "redirect_uri", "code_verifier", "client_id"):
        form = [("grant_type", "authorization_code"), ("code", "x"), ("client_id", app.client_id)]
        form += [("client_secret", app.secret or ""), (name, "1"), (name, "2")]
        response = await service.http.post(
            "/oauth/token",
            content=urlencode(form),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert error_of(response) == (400, "invalid_request"), name


async def test_parameters_in_the_url_are_ignored(service: Service) -> None:
    """Secrets and codes would be in the logs of proxies (RFC 6749, section 2.3.1)."""
    app = await register(service)
    async with browsing(service) as browser:
        code = await app.code(browser)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": app.client_id,
        "client_secret": app.secret or "",
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = await service.http.post(f"/oauth/token?{urlencode(form)}", headers=headers)
    assert response.status_code in {400, 401}
    assert (await service.get(f"/oauth/token?{urlencode(form)}")).status_code == 405
    token = {"access_token": ok(await app.exchange(code))["access_token"]}
    response = await service.get(f"/oauth/userinfo?{urlencode(token)}")
    assert response.status_code == 401


async def preflight(service: Service, origin: str, path: str) -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return await service.http.options(path, headers=headers)


def allowed(response: httpx.Response) -> str | None:
    assert "access-control-allow-credentials" not in response.headers
    found: str | None = response.headers.get("access-control-allow-origin")
    return found


@pytest.mark.parametrize("path", PATHS)
async def test_only_origins_of_public_clients_may_read(service: Service, path: str) -> None:
    """Not those of confidential clients, of no client, or of a private scheme, and never null."""
    uris = [f"{SPA}/callback", f"{SPA}:8443/", LOOPBACK, "com.example.app:/callback"]
    await register(service, is_public=True, redirect_uris=uris)
    await register(service)
    for origin in (SPA, f"{SPA}:8443", "http://127.0.0.1"):
        for response in (
            await preflight(service, origin, path),
            await service.http.post(path, headers={"Origin": origin}),
        ):
            assert allowed(response) == origin
            assert "Origin" in response.headers["vary"]
    for origin in (
        *("null", "", "*", "https://shop.example", "http://spa.example", f"{SPA}:443", f"{SPA}/"),
        *(SPA.upper(), f"{SPA}.evil.example", "https://evil.spa.example", f"{SPA}, {SPA}"),
        *("com.example.app:", "com.example.app://", "http://127.0.0.1:3999", "file://"),
    ):
        for response in (
            await preflight(service, origin, path),
            await service.http.post(path, headers={"Origin": origin}),
        ):
            assert allowed(response) is None, origin


async def test_the_pages_are_for_no_other_origin(service: Service) -> None:
    await register(service, is_public=True, redirect_uris=[f"{SPA}/callback"])
    for path in ("/oauth/authorize", "/oauth/continue", "/oauth/logout", "/api/v1/profile", "/"):
        assert allowed(await preflight(service, SPA, path)) is None
        assert allowed(await service.get(path, Origin=SPA)) is None
