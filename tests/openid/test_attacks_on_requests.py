"""Attacks on authorization requests: forged URIs, parameters and sealed requests."""

from __future__ import annotations

import httpx
import pytest

from altered import by_one_character
from pages import Browser, signed_in
from referral.core import seal
from referral.core.keys import Purpose
from relying_party import (
    CALLBACK,
    LOOPBACK,
    claims_of,
    parameters_of,
    register,
)
from support import Service, context_of, ok

PRIVATE = "com.example.app:/callback"
ISSUER = "http://127.0.0.1:8000"
NOT_REGISTERED = [
    "https://user@shop.example/callback",
    "https://user:password@shop.example/callback",
    "https://shop.example@evil.example/callback",
    "https://shop.example:443/callback",
    "https://shop.example:8443/callback",
    "https://shop.example./callback",
    "https://shop.example/callback/",
    "https://shop.example/callback#",
    "https://shop.example/callback#fragment",
    "https://shop.example/callback?",
    "https://shop.example/callback?x=y",
    "https://shop.example/x/../callback",
    "https://shop.example/./callback",
    "https://shop.example/callback/..",
    "https://shop.example//callback",
    "https://shop.example/%63allback",
    "https://shop.example/callback%2F..",
    "https://shop.example/callback%00",
    "https://shop.example/CALLBACK",
    "HTTPS://shop.example/callback",
    "https://SHOP.example/callback",
    "https://sh\u043ep.example/callback",
    "https://evil.example/callback",
    "https://evil.shop.example/callback",
    "https://shop.example.evil.example/callback",
    "https://evil.example/https://shop.example/callback",
    "https://evil.example\\@shop.example/callback",
    "http://shop.example/callback",
    "//shop.example/callback",
    "/callback",
    "javascript:alert(1)//https://shop.example/callback",
    f" {CALLBACK}",
    f"{CALLBACK} ",
    f"{CALLBACK}\r\nSet-Cookie: a=b",
    f"{CALLBACK}\n{LOOPBACK}",
    "http://127.0.0.1:3999@evil.example/callback",
    "http://127.0.0.1:3999.evil.example/callback",
    "http://127.0.0.1:0/callback",
    "http://127.0.0.1:99999/callback",
    "http://127.0.0.1:/callback",
    "http://127.0.0.1:3999/callback/",
    "http://127.0.0.1:3999/callback?x=y",
    "http://127.0.0.1:3999/callback#x",
    "http://127.0.0.1:3999",
    "http://127.1/callback",
    "http://2130706433/callback",
    "http://0x7f.0.0.1/callback",
    "http://localhost/callback",
    "http://localhost:3999/callback",
    "http://[::1]:3999/callback",
    "https://127.0.0.1/callback",
    "com.example.app:/callback/",
    "com.example.app://callback",
    "com.example.APP:/callback",
    "com.example.app:/callback?x=y",
    "com.example.app.evil:/callback",
]


async def location_of(browser: Browser, url: str) -> str:
    response = await browser.get(url)
    assert response.status_code == 303, response.text
    location: str = response.headers["location"]
    return location


def expect_error_page(response: httpx.Response) -> None:
    assert response.status_code == 400, response.headers
    assert not {"location", "refresh"} & response.headers.keys()
    assert 'href="http' not in response.text


@pytest.mark.parametrize("uri", NOT_REGISTERED)
async def test_an_unregistered_uri_is_never_redirected_to(service: Service, uri: str) -> None:
    """By GET and by POST, with and without a page, and for errors."""
    app = await register(service, redirect_uris=[CALLBACK, LOOPBACK, PRIVATE])
    async with signed_in(service) as browser:
        wrong: list[dict[str, str | None]] = [
            {},
            {"prompt": "none"},
            {"scope": "nothing"},
            {"response_mode": "fragment"},
        ]
        for more in wrong:
            url = app.url(**{**more, "redirect_uri": uri})
            expect_error_page(await browser.get(url))
            expect_error_page(
                await browser.http.post(
                    "/oauth/authorize",
                    content=url.partition("?")[2],
                    headers={"Content-Type": "application/x-www-form-urlencoded"},
                )
            )


async def test_another_clients_uri_is_not_registered(service: Service) -> None:
    app = await register(service)
    other = await register(service, redirect_uris=["https://other.example/callback"])
    async with signed_in(service) as browser:
        expect_error_page(await browser.get(app.url(redirect_uri=other.redirect_uri)))
        expect_error_page(await browser.get(other.url(redirect_uri=app.redirect_uri)))


async def test_every_redirect_names_the_issuer(service: Service) -> None:
    """So that apps notice a mix-up (RFC 9207): with a code and with each kind of error."""
    app = await register(service)
    wrong: list[dict[str, str | None]] = [
        {"response_type": "token"},
        {"response_type": "code id_token"},
        {"response_type": None},
        {"response_mode": "fragment"},
        {"response_mode": "form_post"},
        {"scope": "email"},
        {"scope": None},
        {"scope": "openid account"},
        {"request": "x"},
        {"request_uri": "https://shop.example/x"},
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": "x" * 42},
        {"max_age": "-1"},
        {"prompt": "none login"},
        {"nonce": "x" * 513},
        {"id_token_hint": "x"},
    ]
    async with signed_in(service) as browser:
        given = parameters_of(await location_of(browser, app.url()))
        assert given.keys() == {"code", "state", "iss"}
        assert given["iss"] == ISSUER
        for parameters in wrong:
            url = await location_of(browser, app.url(**parameters))
            given = parameters_of(url)
            assert url.startswith(f"{CALLBACK}?"), parameters
            assert (given["iss"], given["state"]) == (ISSUER, "a state"), parameters
            assert "code" not in given
            assert given["error"] in {
                *("invalid_request", "invalid_scope", "unsupported_response_type"),
                *("request_not_supported", "request_uri_not_supported"),
            }
        given = parameters_of(await location_of(browser, app.url(state="x" * 2049)))
        assert given.keys() == {"error", "error_description", "iss"}


async def test_state_and_nonce_come_back_unchanged(service: Service) -> None:
    """They cannot add a parameter or a header. The nonce is only in the ID token."""
    app = await register(service)
    text = "x&code=y#z\r\nSet-Cookie: a=b \u2028\u202e\U0001f600%26"
    async with signed_in(service) as browser:
        url = await location_of(browser, app.url(state=text, nonce=text))
        given = parameters_of(url)
        assert given.keys() == {"code", "state", "iss"}
        assert given["state"] == text
        tokens = ok(await app.exchange(given["code"]))
        for nonce in ("\x01" * 512, "\U0001f600" * 512):
            other = await app.tokens(browser, nonce=nonce)
            assert claims_of(other["id_token"])["nonce"] == nonce
    assert claims_of(tokens["id_token"])["nonce"] == text
    assert "nonce" not in claims_of(tokens["access_token"])


async def test_every_change_of_a_sealed_request_is_refused(service: Service) -> None:
    """Some by the pages, all of them by the function behind them."""
    app = await register(service, redirect_uris=[LOOPBACK])
    async with signed_in(service) as browser:
        location = await location_of(browser, app.url())
        sealed = location.partition("request=")[2]
        keys = context_of(service).keys.all(Purpose.AUTHORIZATION_REQUEST)
        for text in by_one_character(sealed):
            with pytest.raises(seal.BadToken):
                seal.decrypt(text, keys, max_length=16_384)
        code = await app.code(browser)
        for text in (sealed[1:], sealed[:-1], f"{sealed}A", f"{sealed}.", code):
            for path in ("/", "/code", "/oauth/continue", "/oauth/return"):
                expect_error_page(await browser.get(f"{path}?request={text}"))
