"""Attacks on the sign-out by apps: links of strangers, and where they lead."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from altered import by_one_character
from pages import Browser, browsing, found, signed_in
from referral.core import seal
from referral.core.keys import Purpose
from relying_party import App, parameters_of, register
from support import Service, context_of, ok

AFTER = "https://shop.example/after"
LOGOUT, FINISH = "/oauth/logout", "/oauth/logout/finish"


async def shop(service: Service, **more: Any) -> App:
    return await register(service, post_logout_redirect_uris=[AFTER], **more)


def logout_url(**given: str) -> str:
    return f"{LOGOUT}?{urlencode(given)}"


async def is_signed_in(browser: Browser) -> bool:
    return (await browser.get("/me")).status_code == 200


def expect_error_page(response: httpx.Response) -> None:
    assert response.status_code == 400, response.headers
    assert not {"location", "refresh"} & response.headers.keys()
    assert 'href="http' not in response.text


async def stranger_token(app: App) -> str:
    """Return an ID token of somebody else, for this app."""
    async with browsing(app.service) as stranger:
        token: str = (await app.tokens(stranger))["id_token"]
        return token


async def test_a_strangers_link_signs_nobody_out(service: Service) -> None:
    """With the stranger's own ID token, with the client only, or with nothing, the page asks."""
    app = await shop(service)
    hint = await stranger_token(app)
    for given in (
        {"id_token_hint": hint, "post_logout_redirect_uri": AFTER},
        {"client_id": app.client_id, "post_logout_redirect_uri": AFTER},
        {"post_logout_redirect_uri": "https://evil.example/"},
        {},
    ):
        async with signed_in(service) as browser:
            for _ in range(2):
                page = await browser.see(logout_url(**given))
                assert "Sign out?" in page
                assert browser.phone[-2:] in page
            assert await is_signed_in(browser)
            action = found(r'<form method="post" action="(/oauth/[^"]+)"', page)
            response = await browser.get(await browser.submit(action))
            # Only a hint leads on, to its own client's URI
            on = "id_token_hint" in given
            assert response.headers.get("refresh") == (f"0; url={AFTER}" if on else None)


async def test_only_an_own_form_answers_the_question(service: Service) -> None:
    """Another site can open the page, but neither submit nor skip it."""
    app = await shop(service)
    hint = await stranger_token(app)
    async with signed_in(service) as browser:
        page = await browser.see(logout_url(id_token_hint=hint, post_logout_redirect_uri=AFTER))
        action = found(r'<form method="post" action="([^"]+)"', page)
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {},
        ):
            response = await browser.http.post(action, headers=headers)
            assert response.status_code == 403, headers
        assert "Sign out?" in await browser.see(action)
        await browser.get(action.replace(FINISH, f"{FINISH}/done"))
        assert await is_signed_in(browser)
        await browser.submit(action)
        assert not await is_signed_in(browser)


async def test_a_strangers_link_ends_only_the_strangers_session(service: Service) -> None:
    """Each session of the browser's user lives on, in every app."""
    app = await shop(service)
    async with browsing(service) as stranger:
        own = await app.tokens(stranger, scope="openid offline_access")
    async with signed_in(service) as browser:
        theirs = await app.tokens(browser, scope="openid offline_access")
        await browser.get(logout_url(id_token_hint=own["id_token"]))
        ok(await app.refresh(theirs["refresh_token"]))
    assert (await app.refresh(own["refresh_token"])).status_code == 400


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/",
        f"{AFTER}/",
        f"{AFTER}?x=y",
        f"{AFTER}#x",
        "https://shop.example/AFTER",
        "https://SHOP.example/after",
        "https://shop.example:443/after",
        "https://shop.example./after",
        "https://shop.example/x/../after",
        "https://shop.example/%61fter",
        "https://shop.example@evil.example/after",
        "https://evil.example\\@shop.example/after",
        "//evil.example/",
        "/me",
        "javascript:alert(1)",
        f" {AFTER}",
        f"{AFTER}\r\nSet-Cookie: a=b",
        "https://shop.example/callback",
    ],
)
async def test_it_leads_only_to_registered_uris(service: Service, uri: str) -> None:
    """The redirect URI of the sign-in is none of them."""
    app = await shop(service)
    async with browsing(service) as browser:
        hint = (await app.tokens(browser))["id_token"]
        url = logout_url(id_token_hint=hint, post_logout_redirect_uri=uri)
        expect_error_page(await browser.get(url))
        assert await is_signed_in(browser)


async def test_another_clients_uri_is_refused(service: Service) -> None:
    app, other = await register(service), await shop(service)
    async with browsing(service) as browser:
        hint = (await app.tokens(browser))["id_token"]
        for given in (
            {"id_token_hint": hint, "post_logout_redirect_uri": AFTER},
            {"id_token_hint": hint, "client_id": other.client_id},
            {
                "id_token_hint": hint,
                "client_id": other.client_id,
                "post_logout_redirect_uri": AFTER,
            },
            {"client_id": app.client_id, "post_logout_redirect_uri": AFTER},
            {"client_id": "unknown"},
            {"id_token_hint": "x"},
        ):
            expect_error_page(await browser.get(logout_url(**given)))
        for name in ("id_token_hint", "client_id", "post_logout_redirect_uri", "state"):
            expect_error_page(await browser.get(f"{LOGOUT}?{name}=a&{name}=b"))
        assert await is_signed_in(browser)


async def test_no_other_token_is_a_hint(service: Service) -> None:
    app = await shop(service)
    async with browsing(service) as browser:
        tokens = await app.tokens(browser, scope="openid offline_access")
        for name in ("access_token", "refresh_token"):
            expect_error_page(await browser.get(logout_url(id_token_hint=tokens[name])))
        expect_error_page(
            await browser.get(logout_url(id_token_hint=browser.http.cookies["access"]))
        )
        head, _, signature = tokens["id_token"].rpartition(".")
        for hint in (head, f"{head}.", f"{head}.{signature[1:]}", f"{head}.{signature}="):
            expect_error_page(await browser.get(logout_url(id_token_hint=hint)))
        assert await is_signed_in(browser)


async def test_a_deleted_client_leads_nowhere(service: Service) -> None:
    app = await shop(service)
    async with browsing(service) as browser:
        hint = (await app.tokens(browser))["id_token"]
        await app.delete()
        url = logout_url(id_token_hint=hint, post_logout_redirect_uri=AFTER)
        expect_error_page(await browser.get(url))
        assert await is_signed_in(browser)


async def test_state_cannot_add_parameters_or_headers(service: Service) -> None:
    app = await shop(service)
    state = "x&code=y#z\r\nSet-Cookie: a=b"
    async with browsing(service) as browser:
        hint = (await app.tokens(browser))["id_token"]
        response = await browser.get(
            logout_url(id_token_hint=hint, post_logout_redirect_uri=AFTER, state=state)
        )
    location = response.headers["location"]
    assert location.startswith(f"{AFTER}?state=")
    assert parameters_of(location) == {"state": state}
    assert "a" not in response.cookies


async def test_a_changed_sealed_request_is_an_error_page(service: Service) -> None:
    """As one of another purpose is."""
    app = await shop(service)
    keys = context_of(service).keys
    async with browsing(service) as browser:
        hint = (await app.tokens(browser))["id_token"]
        form = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER}
        location = await browser.submit(LOGOUT, **form)
        sealed = location.partition("request=")[2]
        for text in by_one_character(sealed):
            with pytest.raises(seal.BadToken):
                seal.decrypt(text, keys.all(Purpose.LOGOUT_REQUEST), max_length=16_384)
        authorization = (await browser.get(app.url(prompt="login"))).headers["location"]
        for text in (sealed[:-1], f"{sealed}A", authorization.partition("request=")[2], ""):
            for path in (FINISH, f"{FINISH}/done"):
                expect_error_page(await browser.get(f"{path}?request={text}"))
        expect_error_page(await browser.get(f"/oauth/continue?request={sealed}"))
        assert await is_signed_in(browser)
