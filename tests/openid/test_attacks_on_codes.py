"""Attacks on authorization codes: stolen, altered, used twice, or outliving their sign-in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import httpx
import pytest

from altered import by_one_character
from endpoint_server import endpoint_server
from pages import Browser, browsing, signed_in
from referral.core import seal
from referral.core.keys import Purpose
from relying_party import CALLBACK, LOOPBACK, VERIFIER, App, arrive, claims_of, parameters_of
from relying_party import register as registered
from support import Inbox, Service, context_of, eventually, new_phone, ok, running

OTHER_VERIFIER = VERIFIER.replace("a", "b")


async def new_code(app: App, **parameters: str | None) -> str:
    async with browsing(app.service) as browser:
        return await app.code(browser, **parameters)


def error_of(response: httpx.Response, status: int = 400) -> str:
    assert response.status_code == status, response.text
    error: str = response.json()["error"]
    return error


async def works(app: App, access_token: str) -> bool:
    bearer = f"Bearer {access_token}"
    response = await app.service.get("/oauth/userinfo", Authorization=bearer)
    assert response.status_code in {200, 401}
    return response.status_code == 200


async def test_a_second_use_ends_the_session(database_url: str) -> None:
    """The app hears of it by webhook; the tokens of the first use are worthless."""
    async with (
        endpoint_server() as endpoint,
        running(database_url, **endpoint.settings) as service,
    ):
        app = await registered(service)
        code = await new_code(app, scope="openid offline_access")
        tokens = ok(await app.exchange(code))
        service.clock.move(minutes=59)
        assert error_of(await app.exchange(code)) == "invalid_grant"
        assert error_of(await app.refresh(tokens["refresh_token"])) == "invalid_grant"
        sid = claims_of(tokens["id_token"])["sid"]
        await eventually(lambda: any(each.type == "session.ended" for each in endpoint.attempts))
        [event] = [each.event for each in endpoint.attempts if each.type == "session.ended"]
    data = event["data"]
    assert (data["sid"], data["client_id"], data["reason"]) == (sid, app.client_id, "reused")


async def test_a_second_use_after_the_hour_changes_nothing(service: Service) -> None:
    app = await registered(service)
    code = await new_code(app, scope="openid offline_access")
    tokens = ok(await app.exchange(code))
    service.clock.move(minutes=60, seconds=1)
    assert error_of(await app.exchange(code)) == "invalid_grant"
    ok(await app.refresh(tokens["refresh_token"]))


async def test_a_code_expires_after_60_seconds(service: Service) -> None:
    """Unused until then, it ends nobody's session."""
    app = await registered(service)
    code = await new_code(app)
    service.clock.move(seconds=61)
    for _ in range(2):
        assert error_of(await app.exchange(code)) == "invalid_grant"


async def test_a_thief_without_the_secrets_changes_nothing(service: Service) -> None:
    """Another client, another verifier, another redirect URI: before and after the owner's use."""
    app, other = await registered(service), await registered(service)
    public = await registered(service, is_public=True)
    code = await new_code(app, scope="openid offline_access")
    attempts: list[Callable[[], Awaitable[httpx.Response]]] = [
        lambda: other.exchange(code),
        lambda: public.exchange(code),
        lambda: app.exchange(code, code_verifier=OTHER_VERIFIER),
        lambda: app.exchange(code, code_verifier=VERIFIER[:-1]),
        lambda: app.exchange(code, code_verifier=""),
        lambda: app.exchange(code, redirect_uri=f"{CALLBACK}/"),
        lambda: app.exchange(code, redirect_uri=""),
    ]
    for attempt in attempts:
        assert error_of(await attempt()) == "invalid_grant"
    tokens = ok(await app.exchange(code))
    for attempt in attempts:
        assert error_of(await attempt()) == "invalid_grant"
    assert await works(app, tokens["access_token"])
    ok(await app.refresh(tokens["refresh_token"]))


async def test_a_stripped_challenge_is_noticed(service: Service) -> None:
    """RFC 9700, section 4.8: a verifier without a challenge, and a challenge without a verifier."""
    app = await registered(service, without_pkce=True)
    stripped = await new_code(app, code_challenge=None, code_challenge_method=None)
    assert error_of(await app.exchange(stripped)) == "invalid_grant"
    ok(await app.exchange(stripped, code_verifier=""))
    challenged = await new_code(app)
    assert error_of(await app.exchange(challenged, code_verifier="")) == "invalid_grant"
    ok(await app.exchange(challenged))


async def test_two_sign_ins_cannot_swap_their_verifiers(service: Service) -> None:
    """A code that was injected into somebody else's sign-in fails."""
    app = await registered(service)
    stolen = await new_code(app)
    async with browsing(service) as browser:
        await app.code(browser)
    assert error_of(await app.exchange(stolen, code_verifier=OTHER_VERIFIER)) == "invalid_grant"


@pytest.mark.parametrize("port", ["3999", "1"])
async def test_the_port_of_a_loopback_uri_is_bound_too(service: Service, port: str) -> None:
    """Any port may be asked for, but the exchange names the same one."""
    app = await registered(service, redirect_uris=[LOOPBACK], is_public=True)
    uri = f"http://127.0.0.1:{port}/callback"
    code = await new_code(app, redirect_uri=uri)
    for other in (LOOPBACK, "http://127.0.0.1:4000/callback", "http://[::1]:3999/callback"):
        assert error_of(await app.exchange(code, redirect_uri=other)) == "invalid_grant"
    ok(await app.exchange(code, redirect_uri=uri))


async def test_no_other_sealed_text_is_a_code(service: Service) -> None:
    """Not a request, a token, or the same content sealed for another purpose."""
    app = await registered(service)
    code = await new_code(app)
    async with browsing(service) as browser:
        location = (await browser.get(app.url())).headers["location"]
        tokens = await app.tokens(browser, scope="openid offline_access")
    keys = context_of(service).keys
    content = seal.decrypt(code, keys.all(Purpose.AUTHORIZATION_CODE), max_length=4096)
    for purpose in (Purpose.AUTHORIZATION_REQUEST, Purpose.LOGOUT_REQUEST):
        tokens[purpose.name] = seal.encrypt(content, keys.current(purpose), padded_to=None)
    for text in (location.partition("request=")[2], *map(str, tokens.values())):
        assert error_of(await app.exchange(text)) in {"invalid_grant", "invalid_request"}
    ok(await app.exchange(code))


async def test_every_change_of_one_character_is_refused(service: Service) -> None:
    """A hundred of them by the endpoint, all of them by the function behind it."""
    app = await registered(service)
    code = await new_code(app)
    keys = context_of(service).keys.all(Purpose.AUTHORIZATION_CODE)
    altered = [text for text in by_one_character(code) if text != code]
    assert len(altered) > 10 * len(code)
    for text in altered:
        with pytest.raises(seal.BadToken):
            seal.decrypt(text, keys, max_length=4096)
    sendable = [text for text in altered if "\ud800" not in text]
    for text in Random(1).sample(sendable, 100):  # noqa: S311 - a seed
        assert error_of(await app.exchange(text)) in {"invalid_grant", "invalid_request"}
    ok(await app.exchange(code))


async def signs_out(browser: Browser, _: Any) -> None:
    await browser.submit("/sign-out")


async def signs_out_everywhere(browser: Browser, _: Any) -> None:
    person = await browser_person(browser)
    ok(await person("DELETE", "/sessions"))


async def is_blocked(browser: Browser, admin: Any) -> None:
    user_id = claims_of(browser.http.cookies["access"])["sub"]
    ok(await admin.call("PATCH", f"/users/{user_id}", json={"is_blocked": True}))


async def is_deleted(browser: Browser, admin: Any) -> None:
    user_id = claims_of(browser.http.cookies["access"])["sub"]
    ok(await admin.call("DELETE", f"/users/{user_id}"))


async def gets_another_phone(browser: Browser, _: Any) -> None:
    """By the owner; the browser's session goes on."""
    call = await browser_person(browser)
    sent = ok(await call("POST", "/profile/phone/send-code", json={"phone": new_phone()}))
    body = {"token": sent["token"], "code": sent["code"]}
    ok(await call("PUT", "/profile/phone", json=body))


async def browser_person(browser: Browser) -> Callable[..., Awaitable[httpx.Response]]:
    """Return a function that calls the API with the browser's own access token."""

    async def call(method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {browser.http.cookies['access']}"}
        return await browser.http.request(method, f"/api/v1{path}", headers=headers, **more)

    return call


@pytest.mark.parametrize(
    "what_happens",
    [signs_out, signs_out_everywhere, is_blocked, is_deleted, gets_another_phone],
    ids=lambda each: each.__name__,
)
async def test_a_code_ends_with_what_it_rests_on(
    service: Service, what_happens: Callable[[Browser, Any], Awaitable[None]]
) -> None:
    app, admin = await registered(service), await service.sign_in_admin()
    async with signed_in(service) as browser:
        url = (await browser.get(app.url())).headers["location"]
        code = parameters_of(url)["code"]
        await what_happens(browser, admin)
        assert error_of(await app.exchange(code)) == "invalid_grant"


async def test_a_code_of_the_simulated_gateway_ends_with_it(service: Service) -> None:
    """So do the sessions that clients have begun by then."""
    app = await registered(service, account_allowed=True)
    scope = "openid offline_access account"
    async with browsing(service) as browser:
        tokens = await app.tokens(browser, scope=scope)
        code = await app.code(browser, scope=scope)
    service.inbox.echoes_code = False
    assert error_of(await app.exchange(code)) == "invalid_grant"
    assert error_of(await app.refresh(tokens["refresh_token"])) == "invalid_grant"
    assert not await works(app, tokens["access_token"])
    bearer = f"Bearer {tokens['access_token']}"
    assert (await service.get("/api/v1/profile", Authorization=bearer)).status_code == 401


async def test_a_code_survives_a_restart(database_url: str) -> None:
    """Nothing of it is in a process."""
    async with running(database_url, inbox=Inbox()) as service:
        app = await registered(service)
        async with browsing(service) as browser:
            code = parameters_of(await arrive(browser, app.url()))["code"]
    async with running(database_url, inbox=Inbox()) as service:
        ok(await App(service, app.client_id, app.secret, CALLBACK).exchange(code))
