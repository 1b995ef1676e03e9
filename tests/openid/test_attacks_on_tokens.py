"""Attacks with tokens: those of other clients, at other endpoints, and of old sign-ins."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pages import ORIGIN, Browser, browsing, signed_in
from referral.core.proof import Proof
from referral.storage import database
from relying_party import LOOPBACK, App, claims_of, parameters_of, register
from support import Person, Service, context_of, ok, refused

OFFLINE = "openid offline_access"
ACCOUNT = "openid offline_access account"


async def call(service: Service, tokens: dict[str, Any], method: str, path: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return await service.http.request(method, path, headers=headers)


def error_of(response: httpx.Response) -> str:
    assert response.status_code == 400, response.text
    error: str = response.json()["error"]
    return error


async def new_tokens(app: App, scope: str = OFFLINE) -> dict[str, Any]:
    async with browsing(app.service) as browser:
        return await app.tokens(browser, scope=scope)


async def is_alive(app: App, tokens: dict[str, Any]) -> bool:
    response = await call(app.service, tokens, "GET", "/oauth/userinfo")
    assert response.status_code in {200, 401}
    return response.status_code == 200


@pytest.mark.parametrize("is_public", [False, True])
async def test_another_clients_tokens_are_unknown(service: Service, *, is_public: bool) -> None:
    """At the token endpoint and at revocation, live or replaced; nothing changes."""
    app, other = await register(service), await register(service, is_public=is_public)
    tokens = await new_tokens(app)
    replaced, tokens["refresh_token"] = (
        tokens["refresh_token"],
        ok(await app.refresh(tokens["refresh_token"]))["refresh_token"],
    )
    service.clock.move(seconds=31)
    for token in (replaced, tokens["refresh_token"], tokens["access_token"], tokens["id_token"]):
        assert error_of(await other.refresh(token)) == "invalid_grant"
        assert error_of(await other.refresh(token, scope="openid")) == "invalid_grant"
        assert ok(await other.post("/oauth/revoke", token=token)) == {}
    assert await is_alive(app, tokens)
    ok(await app.refresh(tokens["refresh_token"]))


async def test_a_clients_refresh_token_is_unknown_to_the_api(service: Service) -> None:
    """Live or replaced, at refresh and logout; in the cookie of the pages, too."""
    app = await register(service, account_allowed=True)
    tokens = await new_tokens(app, ACCOUNT)
    replaced = tokens["refresh_token"]
    live = ok(await app.refresh(replaced))["refresh_token"]
    service.clock.move(seconds=31)
    for token in (replaced, live):
        response = await service.post("/auth/refresh", refresh_token=token)
        refused(response, 401, "invalid_refresh_token")
        ok(await service.post("/auth/logout", refresh_token=token))
        response = await service.get("/me", Cookie=f"refresh={token}")
        assert response.headers["location"].startswith("/")
    assert await is_alive(app, tokens)
    ok(await app.refresh(live))


async def test_the_apis_refresh_token_is_unknown_to_clients(service: Service) -> None:
    app, person = await register(service), await service.sign_in()
    replaced = person.tokens["refresh_token"]
    person.tokens = ok(await person.refresh())
    service.clock.move(seconds=31)
    for token in (replaced, *[person.tokens[name] for name in ("refresh_token", "access_token")]):
        assert error_of(await app.refresh(token)) == "invalid_grant"
        assert ok(await app.post("/oauth/revoke", token=token)) == {}
    await person.profile()
    ok(await person.refresh())


async def test_a_reused_refresh_token_ends_only_its_session(service: Service) -> None:
    """With a narrower scope as well. The person stays signed in on the pages."""
    app = await register(service)
    async with browsing(service) as browser:
        tokens = await app.tokens(browser, scope=OFFLINE)
        kept = await app.tokens(browser, scope=OFFLINE)
        first = tokens["refresh_token"]
        second = ok(await app.refresh(first))["refresh_token"]
        third = ok(await app.refresh(second, scope="openid"))["refresh_token"]
        assert error_of(await app.refresh(first, scope="openid")) == "invalid_grant"
        assert error_of(await app.refresh(third)) == "invalid_grant"
        assert not await is_alive(app, tokens)
        ok(await app.refresh(kept["refresh_token"]))
        assert (await browser.get("/me")).status_code == 200


async def test_account_is_only_for_clients_made_with_it(service: Service) -> None:
    """Not by a refresh either. A token without it gets 403 from the API."""
    app = await register(service)
    async with browsing(service) as browser:
        given = await app.callback(browser, scope=ACCOUNT)
        assert given["error"] == "invalid_scope"
        tokens = await app.tokens(browser, scope=OFFLINE)
    response = await app.refresh(tokens["refresh_token"], scope=ACCOUNT)
    assert error_of(response) == "invalid_scope"
    for method, path in (("GET", "/profile"), ("GET", "/sessions"), ("DELETE", "/profile")):
        response = await call(service, tokens, method, f"/api/v1{path}")
        refused(response, 403, "forbidden")
    assert await is_alive(app, tokens)


async def test_a_narrowed_token_loses_the_account(service: Service) -> None:
    app = await register(service, account_allowed=True)
    tokens = await new_tokens(app, ACCOUNT)
    ok(await call(service, tokens, "GET", "/api/v1/profile"))
    narrowed = ok(await app.refresh(tokens["refresh_token"], scope=OFFLINE))
    assert claims_of(narrowed["access_token"])["aud"] == app.client_id
    refused(await call(service, narrowed, "GET", "/api/v1/profile"), 403, "forbidden")


async def test_no_clients_token_administers(service: Service) -> None:
    """Not at the API, and not in the cookie of the pages."""
    app = await register(service, account_allowed=True)
    admin = await service.sign_in_admin()
    async with browsing(service, admin.phone) as browser:
        service.clock.move(seconds=3)
        tokens = await app.tokens(browser, scope=ACCOUNT)
        assert (await browser.get("/admin")).status_code != 403
    ok(await call(service, tokens, "GET", "/api/v1/profile"))
    for path in ("/users", "/stats", "/audit"):
        ok(await admin.call("GET", path))
        refused(await call(service, tokens, "GET", f"/api/v1{path}"), 403, "forbidden")
    async with browsing(service) as thief:
        thief.http.cookies.set("access", tokens["access_token"])
        for path in ("/admin", "/admin/clients", "/me", "/me/sessions"):
            response = await thief.get(path)
            assert response.status_code == 303, path
            assert response.headers["location"].partition("?")[0] == "/", path


async def test_a_clients_token_does_not_sign_in_to_another(service: Service) -> None:
    """Put into the cookie of the pages, it would give codes of every client."""
    app, other = await register(service, account_allowed=True), await register(service)
    tokens = await new_tokens(app, ACCOUNT)
    async with browsing(service) as thief:
        thief.http.cookies.set("access", tokens["access_token"])
        response = await thief.get(other.url(prompt="none"))
    assert parameters_of(response.headers["location"])["error"] == "login_required"


async def test_another_audiences_token_is_not_for_this_api(service: Service) -> None:
    """Tokens without openid get 403 from userinfo; ID tokens are no access tokens."""
    app, person = await register(service, account_allowed=True), await service.sign_in()
    response = await call(service, person.tokens, "GET", "/oauth/userinfo")
    assert (response.status_code, response.json()["error"]) == (403, "insufficient_scope")
    tokens = await new_tokens(app, ACCOUNT)
    narrowed = ok(await app.refresh(tokens["refresh_token"], scope="account"))
    assert "id_token" not in narrowed
    response = await call(service, narrowed, "GET", "/oauth/userinfo")
    assert response.status_code == 403
    as_access = {"access_token": tokens["id_token"]}
    for path in ("/oauth/userinfo", "/api/v1/profile"):
        assert (await call(service, as_access, "GET", path)).status_code == 401


async def test_a_new_session_makes_no_old_sign_in_fresh(service: Service) -> None:
    """Whatever needs a code of the last 15 minutes counts from when it was verified."""
    app = await register(service, account_allowed=True)
    async with signed_in(service) as browser:
        at = int(service.clock().timestamp())
        service.clock.move(minutes=16)
        tokens = await app.tokens(browser, scope=ACCOUNT)
        for each in (tokens, ok(await app.refresh(tokens["refresh_token"]))):
            for name in ("id_token", "access_token"):
                assert abs(claims_of(each[name])["auth_time"] - at) <= 1
            response = await call(service, each, "DELETE", "/api/v1/profile")
            refused(response, 403, "sign_in_again")
        service.clock.move(seconds=3)
        tokens = await app.tokens(browser, scope=ACCOUNT, prompt="login")
        ok(await call(service, tokens, "DELETE", "/api/v1/profile"))


async def test_sessions_end_with_the_oldest_sign_in(service: Service) -> None:
    """REFERRAL_SESSION_MAX_DAYS counts from the code, however late a client's session began."""
    app = await register(service)
    days = context_of(service).limits.session_max_days
    async with signed_in(service) as browser:
        await _keep_using(service, browser, days - 1)
        tokens = await app.tokens(browser, scope=OFFLINE)
        code = await app.code(browser)
        service.clock.move(hours=23)
        tokens = ok(await app.refresh(tokens["refresh_token"]))
        assert await is_alive(app, tokens)
        code = await app.code(browser)
        service.clock.move(hours=1)
        assert error_of(await app.exchange(code)) == "invalid_grant"
        assert error_of(await app.refresh(tokens["refresh_token"])) == "invalid_grant"
        assert not await is_alive(app, tokens)


async def _keep_using(service: Service, browser: Browser, days: int) -> None:
    for _ in range(days // 10):
        service.clock.move(days=10)
        assert (await browser.get("/me")).status_code == 200
    service.clock.move(days=days % 10)


async def test_public_loopback_clients_get_no_silent_code(service: Service) -> None:
    app = await register(service, redirect_uris=[LOOPBACK], is_public=True)
    async with signed_in(service) as browser:
        response = await browser.get(app.url(prompt="none"))
    assert parameters_of(response.headers["location"])["error"] == "interaction_required"


async def test_ending_all_sessions_ends_those_of_clients(service: Service) -> None:
    app = await register(service)
    async with browsing(service) as browser:
        tokens = await app.tokens(browser, scope=OFFLINE)
        own = {"access_token": browser.http.cookies["access"]}
        person = Person(service.http, browser.phone, own, is_new=False)
        ok(await person.call("DELETE", "/sessions"))
    assert error_of(await app.refresh(tokens["refresh_token"])) == "invalid_grant"
    assert not await is_alive(app, tokens)


async def test_an_open_demo_proves_nothing_to_apps(service: Service) -> None:
    """`phone_number_verified` is false and `amr` is empty, as in each sign-in of the demo."""
    app = await register(service)
    async with browsing(service) as browser:
        tokens = await app.tokens(browser, scope="openid phone")
    rows = await database.query("SELECT proof FROM sessions")
    assert {Proof(row["proof"]).methods for row in rows} == {()}
    claims = claims_of(tokens["id_token"])
    assert (claims["phone_number_verified"], claims["amr"]) == (False, [])
    assert claims_of(tokens["access_token"])["amr"] == []
    assert browser.http.base_url.host in ORIGIN
