"""Signing in to an app, from its link to its tokens."""

from __future__ import annotations

from pages import browsing, signed_in
from relying_party import CALLBACK, LOOPBACK, arrive, claims_of, parameters_of, register
from support import Service

ISSUER = "http://127.0.0.1:8000"


async def test_a_new_person_signs_in_and_the_app_gets_tokens(service: Service) -> None:
    app = await register(service)
    async with browsing(service) as browser:
        tokens = await app.tokens(browser, scope="openid phone offline_access")
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == "openid phone offline_access"
    claims = claims_of(tokens["id_token"])
    assert claims["iss"] == ISSUER
    assert claims["aud"] == app.client_id
    assert claims["nonce"] == "a nonce"
    assert claims["phone_number"] == browser.phone


async def test_a_signed_in_person_is_sent_back_at_once(service: Service) -> None:
    app = await register(service)
    async with signed_in(service) as browser:
        response = await browser.get(app.url())
    assert response.status_code == 303
    url = response.headers["location"]
    assert url.startswith(f"{CALLBACK}?")
    assert parameters_of(url).keys() == {"code", "state", "iss"}
    assert parameters_of(url)["state"] == "a state"


async def test_loopback_is_asked_first(service: Service) -> None:
    app = await register(service, redirect_uris=[LOOPBACK], is_public=True)
    async with signed_in(service) as browser:
        response = await browser.get(app.url(redirect_uri="http://127.0.0.1:3999/callback"))
        location = response.headers["location"]
        assert location.startswith("/oauth/continue?")
        assert 'name="user"' in (await browser.see(location))
        url = await arrive(browser, location)
    assert url.startswith("http://127.0.0.1:3999/callback?code=")
    code = parameters_of(url)["code"]
    tokens = await app.exchange(code, redirect_uri="http://127.0.0.1:3999/callback")
    assert tokens.status_code == 200


async def test_refresh_and_userinfo(service: Service) -> None:
    app = await register(service)
    async with browsing(service) as browser:
        tokens = await app.tokens(browser, scope="openid phone offline_access")
    refreshed = await app.refresh(tokens["refresh_token"])
    assert refreshed.status_code == 200, refreshed.text
    before, after = claims_of(tokens["id_token"]), claims_of(refreshed.json()["id_token"])
    for name in ("sub", "sid", "auth_time", "aud"):
        assert before[name] == after[name]
    assert "nonce" not in after
    bearer = f"Bearer {refreshed.json()['access_token']}"
    info = await service.get("/oauth/userinfo", Authorization=bearer)
    assert info.json() == {
        "sub": after["sub"],
        "phone_number": browser.phone,
        "phone_number_verified": False,
    }
