"""Where an app sends people: what may go wrong on the way, and what never leads to an app."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from pages import Browser, browsing, error_of, found, signed_in
from referral.openid.parameters import MAX_TOTAL_LENGTH
from relying_party import (
    CALLBACK,
    LOOPBACK,
    arrive,
    leaving_to,
    open_sign_in,
    parameters_of,
    register,
    send_code,
)
from support import Service, ok

LIFE = 15 * 60  # seconds of an authorization request


async def enter_code(browser: Browser, url: str) -> str:
    """Enter the code of the page at this URL; return the location."""
    return await browser.enter_code(await browser.see(url))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"client_id": "unknown"}, "client_id is unknown"),
        ({"client_id": None}, "client_id is unknown"),
        ({"redirect_uri": "https://shop.example/callback/"}, "redirect_uri must be"),
        ({"redirect_uri": "https://evil.example/callback"}, "redirect_uri must be"),
        ({"redirect_uri": None}, "redirect_uri must be"),
        ({"prompt": "none", "redirect_uri": "https://evil.example"}, "redirect_uri must be"),
    ],
)
async def test_an_unknown_client_or_uri_is_an_error_page(
    service: Service, changed: dict[str, str | None], named: str
) -> None:
    """Also for somebody who is signed in."""
    app = await register(service)
    async with signed_in(service) as browser:
        await expect_page(browser, app.url(**changed), named)


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
async def test_a_client_or_uri_given_twice_is_an_error_page(service: Service, name: str) -> None:
    app = await register(service)
    value = {"client_id": app.client_id, "redirect_uri": CALLBACK}[name]
    async with signed_in(service) as browser:
        await expect_page(browser, f"{app.url()}&{urlencode({name: value})}", "gave its name")


@pytest.mark.parametrize("query", ["%ff", "state=%00", "&".join(["a=b"] * 101)])
async def test_unreadable_parameters_are_an_error_page(service: Service, query: str) -> None:
    app = await register(service)
    async with signed_in(service) as browser:
        await expect_page(browser, f"{app.url(state=None)}&{query}", "link is incomplete")


async def test_an_altered_request_is_an_error_page(service: Service) -> None:
    """Whoever changes the sealed request, or leaves it out, gets nowhere."""
    async with signed_in(service) as browser:
        for path in ("/oauth/continue", "/oauth/return", "/oauth/return?denied=1&request=x.y"):
            await expect_page(browser, path, "link is incomplete")
        await expect_page(browser, "/?request=x.y", "link is incomplete")


async def test_a_removed_client_is_an_error_page(service: Service) -> None:
    """Client and redirect URI are looked up again by each page."""
    app = await register(service, redirect_uris=[LOOPBACK])
    async with signed_in(service) as browser:
        location = (await browser.get(app.url())).headers["location"]
        await app.delete()
        await expect_page(browser, location, "client_id is unknown")


@pytest.mark.parametrize("name", ["state", "scope", "nonce", "prompt", "code_challenge"])
async def test_another_parameter_given_twice_is_sent_back(service: Service, name: str) -> None:
    app = await register(service)
    async with signed_in(service) as browser:
        response = await browser.get(f"{app.url(**{name: 'x'})}&{name}=y")
    assert error_in(response.headers["location"]) == "invalid_request"


async def test_more_than_6_kb_in_all_are_sent_back(service: Service) -> None:
    app = await register(service)
    async with signed_in(service) as browser:
        response = await browser.get(app.url(extra="x" * MAX_TOTAL_LENGTH))
        assert error_in(response.headers["location"]) == "invalid_request"
        assert parameters_of(response.headers["location"])["state"] == "a state"
        response = await browser.get(app.url(extra="x" * (MAX_TOTAL_LENGTH - 1000)))
    assert "code" in parameters_of(response.headers["location"])


async def test_an_expired_request_goes_back_with_access_denied(service: Service) -> None:
    """From each page, also after a form; pages renew it until then."""
    app = await register(service)
    async with browsing(service) as browser:
        page = await open_sign_in(browser, app.url())
        service.clock.move(seconds=LIFE - 60)
        url = await send_code(browser, page)
        page = await browser.see(url)
        service.clock.move(seconds=LIFE - 60)
        await browser.see(url)
        service.clock.move(seconds=61)
        assert error_in(await leaving_to(browser, url)) == "access_denied"
        location = await browser.enter_code(page)
        back = await leaving_to(browser, location)
    assert error_in(back) == "access_denied"
    assert parameters_of(back)["state"] == "a state"
    assert back.startswith(f"{CALLBACK}?")


async def test_a_person_can_cancel(service: Service) -> None:
    app = await register(service)
    async with browsing(service) as browser:
        page = await open_sign_in(browser, app.url())
        cancel = found(r'href="(/oauth/return[^"]+)"', page)
        assert error_in(await leaving_to(browser, cancel)) == "access_denied"


async def test_back_and_reload_after_the_sign_in_go_on(service: Service) -> None:
    """A reload makes another code; the page for the code leads on to the app."""
    app = await register(service)
    async with browsing(service) as browser:
        url = await send_code(browser, await open_sign_in(browser, app.url()))
        page = await browser.see(url)
        location = await browser.enter_code(page)
        codes = [parameters_of(await leaving_to(browser, location))["code"] for _ in range(2)]
        # Back to the page for the code, and the same code sent again from an old page. After a form
        # no redirect leads to the app: browsers would stop it (form-action)
        again = await leaving_to(browser, await browser.enter_code(page))
        codes += [parameters_of(each)["code"] for each in (again, await arrive(browser, url))]
        assert len(set(codes)) == 4
        for code in codes:
            assert (await app.exchange(code)).status_code == 200


async def test_a_form_of_the_app_is_answered_with_a_page_of_ours(service: Service) -> None:
    """The browser sends no cookies with it: only a redirect from here brings them."""
    app = await register(service)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": "https://shop.example",
        "Sec-Fetch-Site": "cross-site",
    }
    async with signed_in(service) as browser:
        for prompt in ("none", None):
            path, _, form = app.url(prompt=prompt).partition("?")
            response = await browser.http.post(path, content=form, headers=headers)
            location = response.headers["location"]
            assert location.startswith("/oauth/continue?")
            assert "code" in parameters_of(await leaving_to(browser, location))


async def test_two_tabs_sign_in_to_two_apps(service: Service) -> None:
    first, second = await register(service), await register(service)
    async with browsing(service) as browser:
        tabs = [
            await send_code(browser, await open_sign_in(browser, app.url(state=app.client_id)))
            for app in (first, second)
        ]
        for app, tab in zip((first, second), tabs, strict=True):
            back = parameters_of(await leaving_to(browser, await enter_code(browser, tab)))
            assert back["state"] == app.client_id
            assert (await app.exchange(back["code"])).status_code == 200


async def test_a_browser_without_cookies_is_told(service: Service) -> None:
    app = await register(service)
    async with browsing(service) as browser:
        page = await open_sign_in(browser, app.url())
        browser.http.cookies.clear()
        url = await send_code(browser, page)
        browser.http.cookies.clear()
        location = (await browser.get(url)).headers["location"]
        page = await browser.see(location)
        assert "does not allow cookies" in page
        # The app is not forgotten
        assert app.name in page
        assert found(r'action="(/\?request=[^"]+)"', page)


async def test_a_blocked_person_is_not_sent_back(service: Service) -> None:
    app, admin = await register(service), await service.sign_in_admin()
    async with browsing(service) as browser:
        person = await service.sign_in(browser.phone)
        service.clock.move(seconds=3)
        await arrive(browser, app.url())
        ok(await admin.call("PATCH", f"/users/{person.id()}", json={"is_blocked": True}))
        page = await open_sign_in(browser, app.url())
        refused_at = await enter_code(browser, await send_code(browser, page))
        page = await browser.see(refused_at)
        assert "This account is blocked" in error_of(page, "code")
        assert found(r'href="(/oauth/return\?denied=1[^"]+)"', page)
        silent = await browser.get(app.url(prompt="none"))
    assert error_in(silent.headers["location"]) == "login_required"


async def expect_page(browser: Browser, url: str, text: str) -> None:
    """Expect an error page with this text, which leads to no app."""
    response = await browser.get(url)
    assert response.status_code == 400, response.headers
    assert not {"location", "refresh"} & response.headers.keys()
    assert text in response.text
    assert 'href="http' not in response.text


def error_in(url: str) -> str:
    """Return the error with which an app's URL was reached."""
    given = parameters_of(url)
    assert "code" not in given
    assert given["iss"] == "http://127.0.0.1:8000"
    return given["error"]
