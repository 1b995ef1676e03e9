"""The OpenID Foundation's RP-Initiated Logout plan."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import jwt

from conformance import (
    AFTER_LOGOUT,
    ISSUER,
    Flow,
    client,
    error_page,
    redirect_of,
    request,
    sent_back_at_once,
    sign_in,
)
from pages import Browser, browsing, found
from relying_party import parameters_of
from support import Service, ok, running

STATE = "0123456789abcdef" * 8


async def test_oidcc_rp_initiated_logout_discovery_endpoint(database_url: str) -> None:
    async with running(database_url, REFERRAL_PUBLIC_URL="https://id.example") as service:
        metadata = ok(await service.get("/.well-known/openid-configuration"))
    assert metadata["end_session_endpoint"] == "https://id.example/oauth/logout"
    endpoints = [metadata[name] for name in metadata if name.endswith("_endpoint")]
    assert {urlsplit(each).scheme for each in endpoints} == {"https"}


async def test_oidcc_rp_initiated_logout(service: Service) -> None:
    """The app's session ends too."""
    async with browsing(service) as browser:
        flow = await sign_in(browser, await client(service))
        url = redirect_of(await browser.get(_logout_url(flow)))
        assert url.partition("?")[0] == AFTER_LOGOUT
        assert parameters_of(url) == {"state": STATE}
        assert not await _is_signed_in(browser, flow)
    response = await service.get("/oauth/userinfo", Authorization=flow.bearer)
    assert response.status_code == 401


async def test_oidcc_rp_initiated_logout_no_state(service: Service) -> None:
    async with browsing(service) as browser:
        flow = await sign_in(browser, await client(service))
        assert redirect_of(await browser.get(_logout_url(flow, state=None))) == AFTER_LOGOUT
        assert not await _is_signed_in(browser, flow)


async def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(service: Service) -> None:
    uri = "https://suite.example/bad_post_logout_redirect_uri"
    async with browsing(service) as browser:
        flow = await sign_in(browser, await client(service))
        url = _logout_url(flow, post_logout_redirect_uri=uri)
        await _expect_error(browser, flow, url, "post_logout_redirect_uri")


async def test_oidcc_rp_initiated_logout_query_added_to_post_logout(service: Service) -> None:
    async with browsing(service) as browser:
        flow = await sign_in(browser, await client(service))
        url = _logout_url(flow, post_logout_redirect_uri=f"{AFTER_LOGOUT}?foo=bar")
        await _expect_error(browser, flow, url, "post_logout_redirect_uri")


async def test_oidcc_rp_initiated_logout_modified_id_token_hint(service: Service) -> None:
    """The hint is changed to `alg: none`."""
    async with browsing(service) as browser:
        flow = await sign_in(browser, await client(service))
        unsigned = jwt.encode(flow.claims, "", algorithm="none")
        url = _logout_url(flow, id_token_hint=unsigned)
        await _expect_error(browser, flow, url, "id_token_hint")


async def test_oidcc_rp_initiated_logout_bad_id_token_hint(service: Service) -> None:
    """The hint is issued and signed by the client."""
    async with browsing(service) as browser:
        flow = await sign_in(browser, await client(service))
        assert flow.app.secret is not None
        now = int(service.clock().timestamp())
        claims = {
            "iss": flow.app.client_id,
            "aud": ISSUER,
            "sub": "SubjectID",
            "nonce": "flibble",
            "iat": now,
            "exp": now + 300,
        }
        url = _logout_url(flow, id_token_hint=jwt.encode(claims, flow.app.secret))
        await _expect_error(browser, flow, url, "id_token_hint")


async def test_oidcc_rp_initiated_logout_no_id_token_hint(service: Service) -> None:
    """The page asks, and does not lead back."""
    async with browsing(service) as browser:
        flow = await sign_in(browser, await client(service))
        await _expect_question(browser, flow, _logout_url(flow, id_token_hint=None))


async def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(service: Service) -> None:
    """With a hint there is nothing to ask."""
    async with browsing(service) as browser:
        flow = await sign_in(browser, await client(service))
        _check_signed_out(await browser.see(_logout_url(flow, post_logout_redirect_uri=None)))
        assert not await _is_signed_in(browser, flow)


async def test_oidcc_rp_initiated_logout_only_state(service: Service) -> None:
    async with browsing(service) as browser:
        flow = await sign_in(browser, await client(service))
        url = _logout_url(flow, id_token_hint=None, post_logout_redirect_uri=None)
        await _expect_question(browser, flow, url)


async def test_oidcc_rp_initiated_logout_no_params(service: Service) -> None:
    async with browsing(service) as browser:
        flow = await sign_in(browser, await client(service))
        await _expect_question(browser, flow, "/oauth/logout")


def _logout_url(flow: Flow, **changes: str | None) -> str:
    """Return a URL of the logout endpoint. None leaves a parameter out."""
    usual: dict[str, str | None] = {
        "id_token_hint": flow.id_token,
        "post_logout_redirect_uri": AFTER_LOGOUT,
        "state": STATE,
    }
    given = {name: text for name, text in {**usual, **changes}.items() if text is not None}
    return f"/oauth/logout?{urlencode(given)}"


async def _expect_error(browser: Browser, flow: Flow, url: str, named: str) -> None:
    """Open a page that says what is wrong; nobody is signed out."""
    assert named in error_page(await browser.get(url))
    assert await _is_signed_in(browser, flow)


async def _expect_question(browser: Browser, flow: Flow, url: str) -> None:
    """Open a page that asks, and say yes."""
    page = await browser.see(url)
    assert "Sign out?" in page
    assert await _is_signed_in(browser, flow)
    action = found(r'<form method="post" action="(/oauth/logout/[^"]+)"', page)
    _check_signed_out(await browser.submit_and_see(action))
    assert not await _is_signed_in(browser, flow)


def _check_signed_out(page: str) -> None:
    assert "You are signed out." in page


async def _is_signed_in(browser: Browser, flow: Flow) -> bool:
    """Return whether `prompt=none` gives a code, which is how the suite finds out."""
    asked = request(flow.app, prompt="none")
    url = await sent_back_at_once(browser, asked)
    if "code" in parameters_of(url):
        return True
    assert asked.error_of(url) == "login_required"
    return False
