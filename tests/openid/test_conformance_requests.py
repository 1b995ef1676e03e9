"""The OpenID Foundation's Basic plan: the parameters of the authorization request."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt

from conformance import (
    CALLBACK,
    Flow,
    asked_to_sign_in,
    client,
    error_page,
    redirect_of,
    request,
    sent_back_at_once,
    sign_in,
)
from pages import browsing, signed_in
from relying_party import App, arrive, parameters_of
from support import Service


async def one_sign_in(service: Service, **parameters: str | None) -> Flow:
    async with browsing(service) as browser:
        return await sign_in(browser, await client(service), **parameters)


async def two_sign_ins(
    service: Service, second: dict[str, str | None], **first: str | None
) -> tuple[Flow, Flow]:
    """Sign in, and then again, which must show no page."""
    app = await client(service)
    async with browsing(service) as browser:
        before = await sign_in(browser, app, **first)
        asked = request(app, **second)
        service.clock.move(seconds=2)
        after = await asked.finish(await sent_back_at_once(browser, asked))
    assert after.claims["sub"] == before.claims["sub"]
    assert after.claims["auth_time"] == before.claims["auth_time"]
    return before, after


async def test_oidcc_response_type_missing(service: Service) -> None:
    asked = request(await client(service), response_type=None)
    async with browsing(service) as browser:
        url = await sent_back_at_once(browser, asked)
    assert asked.error_of(url) == "invalid_request"


async def test_oidcc_ensure_request_without_nonce_succeeds_for_code(service: Service) -> None:
    assert "nonce" not in (await one_sign_in(service, nonce=None)).claims


async def test_oidcc_alternate_happy_flow(service: Service) -> None:
    """Parameters and scopes may come in any order."""
    app = await client(service)
    asked = request(app, scope="email openid")
    path, _, query = asked.url.partition("?")
    async with signed_in(service) as browser:
        await browser.submit("/me/account", name="", email="anna@example.com")
        url = await arrive(browser, f"{path}?{urlencode(parse_qsl(query)[::-1])}")
        flow = await asked.finish(url)
    assert (await flow.userinfo()).keys() == {"sub", "email", "email_verified"}


async def test_oidcc_display_page(service: Service) -> None:
    await one_sign_in(service, display="page")


async def test_oidcc_display_popup(service: Service) -> None:
    await one_sign_in(service, display="popup")


async def test_oidcc_prompt_login(service: Service) -> None:
    """The page for the phone is shown again, and `auth_time` is later."""
    app = await client(service)
    async with browsing(service) as browser:
        first = await sign_in(browser, app)
        service.clock.move(seconds=1)
        asked = request(app, prompt="login")
        second = await asked.finish(await asked_to_sign_in(browser, asked))
    assert second.claims["auth_time"] > first.claims["auth_time"]


async def test_oidcc_prompt_none_not_logged_in(service: Service) -> None:
    asked = request(await client(service), prompt="none")
    async with browsing(service) as browser:
        url = await sent_back_at_once(browser, asked)
    assert asked.error_of(url) == "login_required"


async def test_oidcc_prompt_none_logged_in(service: Service) -> None:
    await two_sign_ins(service, {"prompt": "none"})


async def test_oidcc_max_age_1(service: Service) -> None:
    app = await client(service)
    async with browsing(service) as browser:
        first = await sign_in(browser, app)
        service.clock.move(seconds=2)
        asked = request(app, max_age="1")
        second = await asked.finish(await asked_to_sign_in(browser, asked))
    assert second.claims["auth_time"] > first.claims["auth_time"]
    assert second.claims["iat"] - second.claims["auth_time"] <= 1


async def test_oidcc_max_age_10000(service: Service) -> None:
    await two_sign_ins(service, {"max_age": "10000"}, max_age="15000")


async def test_oidcc_ensure_request_with_unknown_parameter_succeeds(service: Service) -> None:
    await one_sign_in(service, extra="foobar")


async def test_oidcc_id_token_hint(service: Service) -> None:
    app = await client(service)
    async with browsing(service) as browser:
        first = await sign_in(browser, app)
        asked = request(app, prompt="none", id_token_hint=first.id_token)
        second = await asked.finish(await sent_back_at_once(browser, asked))
    assert second.claims["sub"] == first.claims["sub"]
    assert second.claims["auth_time"] == first.claims["auth_time"]


async def test_oidcc_login_hint(service: Service) -> None:
    """The suite's hint is no phone, and is ignored."""
    await one_sign_in(service, login_hint="buffy@suite.example")


async def test_oidcc_ui_locales(service: Service) -> None:
    await one_sign_in(service, ui_locales="se")


async def test_oidcc_claims_locales(service: Service) -> None:
    await one_sign_in(service, claims_locales="se")


async def test_oidcc_ensure_request_with_acr_values_succeeds(service: Service) -> None:
    """A warning: there is no `acr`."""
    assert "acr" not in (await one_sign_in(service, acr_values="1 2")).claims


async def test_oidcc_ensure_registered_redirect_uri(service: Service) -> None:
    asked = request(await client(service), redirect_uri=f"{CALLBACK}/x1y2z3")
    async with browsing(service) as browser:
        page = error_page(await browser.get(asked.url))
    assert "redirect_uri" in page


async def test_oidcc_ensure_post_request_succeeds(service: Service) -> None:
    """The form comes from the app's own site, so the browser sends no cookies with it."""
    asked = request(await client(service))
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": "https://suite.example",
        "Sec-Fetch-Site": "cross-site",
    }
    async with browsing(service) as browser:
        response = await browser.http.post(
            "/oauth/authorize", content=urlsplit(asked.url).query, headers=headers
        )
        await asked.finish(await arrive(browser, redirect_of(response)))


async def test_oidcc_request_uri_unsigned_supported_correctly_or(service: Service) -> None:
    """Skipped by the suite: the error says that it is not supported."""
    asked = request(await client(service), request_uri="https://suite.example/request.jwt")
    async with browsing(service) as browser:
        url = await sent_back_at_once(browser, asked)
    assert asked.error_of(url) == "request_uri_not_supported"


async def test_oidcc_unsigned_request_object_supported_correctly_or(service: Service) -> None:
    """Skipped by the suite: the error says that it is not supported."""
    app = await client(service)
    asked = request(app, state=None, request=_request_object(app))
    async with browsing(service) as browser:
        url = await sent_back_at_once(browser, asked)
    assert url.startswith(f"{CALLBACK}?")
    assert parameters_of(url)["error"] == "request_not_supported"


async def test_oidcc_ensure_request_object_with_redirect_uri(service: Service) -> None:
    """The URI inside of the request object does not replace a wrong one outside."""
    app = await client(service)
    asked = request(app, redirect_uri=f"{CALLBACK}_invalid", request=_request_object(app))
    async with browsing(service) as browser:
        page = error_page(await browser.get(asked.url))
    assert "redirect_uri" in page


def _request_object(app: App) -> str:
    claims = {
        "client_id": app.client_id,
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid",
        "state": "a state",
    }
    return jwt.encode(claims, "", algorithm="none")
