"""Attacks on people: links of strangers, other sites, apps that wait on the same machine."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pages import Browser, browsing, found, signed_in
from relying_party import (
    CALLBACK,
    LOOPBACK,
    App,
    arrive,
    open_sign_in,
    parameters_of,
    register,
    send_code,
)
from support import Service

PRIVATE = "com.example.app:/callback"
OWN = "http://127.0.0.1:8000"
FORM = r'<form method="post" action="(/oauth/[^"]+)"'


async def location_of(browser: Browser, url: str) -> str:
    response = await browser.get(url)
    assert response.status_code == 303, response.text
    location: str = response.headers["location"]
    return location


async def asked(browser: Browser, app: App, url: str) -> str:
    """Open a link; a page must ask, and only it leads on. Return the page."""
    location = await location_of(browser, url)
    assert location.startswith("/oauth/continue?")
    response = await browser.get(location)
    assert response.status_code == 200
    assert not {"location", "refresh"} & response.headers.keys()
    assert "code=" not in response.text
    assert app.name in response.text
    return response.text


@pytest.mark.parametrize("uri", [LOOPBACK, "http://[::1]/callback", PRIVATE, f"{PRIVATE}?a=b"])
async def test_a_private_scheme_gets_no_code_without_a_tap(service: Service, uri: str) -> None:
    app = await register(service, redirect_uris=[uri], is_public=True)
    async with signed_in(service) as browser:
        for _ in range(2):
            page = await asked(browser, app, app.url())
        return_url = found(FORM, page).replace("/oauth/continue", "/oauth/return")
        assert (await location_of(browser, return_url)).startswith("/oauth/continue?")
        assert "code" in parameters_of(await arrive(browser, app.url()))
        # The next request is another one
        await asked(browser, app, app.url())


async def test_a_confirmed_request_is_worthless_elsewhere(service: Service) -> None:
    """A stranger confirms a request and sends the link on: its reader is asked all the same."""
    app = await register(service, redirect_uris=[PRIVATE], is_public=True)
    async with signed_in(service) as stranger, browsing(service) as third:
        page = await asked(stranger, app, app.url())
        user = found(r'name="user" value="([^"]+)"', page)
        links = [await stranger.submit(found(FORM, page), user=user)]
        page = await open_sign_in(third, app.url())
        links.append(await third.enter_code(await third.see(await send_code(third, page))))
    async with signed_in(service) as browser, browsing(service) as nobody:
        for link in links:
            assert link.startswith("/oauth/return?")
            await asked(browser, app, link)
            location = await location_of(nobody, link)
            assert (await location_of(nobody, location)).startswith("/?request=")
            # With the stranger's user in the form, and after a new sign-in in the same browser
            action = found(FORM, await asked(browser, app, app.url()))
            again = await browser.submit(action, user=user)
            assert again.startswith("/oauth/continue?")


async def test_a_confirmation_ends_with_the_session(service: Service) -> None:
    app = await register(service, redirect_uris=[PRIVATE], is_public=True)
    async with signed_in(service) as browser:
        page = await asked(browser, app, app.url())
        user = found(r'name="user" value="([^"]+)"', page)
        link = await browser.submit(found(FORM, page), user=user)
        await browser.submit("/sign-out")
        service.clock.move(seconds=3)
        await browser.sign_in()
        await asked(browser, app, link)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://shop.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": OWN},
        {"Sec-Fetch-Site": "same-site", "Origin": OWN},
        {"Sec-Fetch-Site": "none", "Origin": OWN},
        {},
    ],
    ids=str,
)
async def test_no_other_site_confirms_a_request(service: Service, headers: dict[str, str]) -> None:
    app = await register(service, redirect_uris=[PRIVATE], is_public=True)
    async with signed_in(service) as browser:
        page = await asked(browser, app, app.url())
        user = found(r'name="user" value="([^"]+)"', page)
        response = await browser.http.post(found(FORM, page), data={"user": user}, headers=headers)
        assert response.status_code == 403
        assert not {"location", "refresh"} & response.headers.keys()
        await asked(browser, app, app.url())


async def test_no_page_of_a_flow_can_be_framed(service: Service) -> None:
    """Nor kept by a cache, nor named to the app in a referrer."""
    app = await register(service, redirect_uris=[LOOPBACK, CALLBACK])
    seen: list[httpx.Response] = []
    async with browsing(service) as browser:

        async def record(response: httpx.Response) -> None:
            seen.append(response)

        browser.http.event_hooks["response"].append(record)
        await arrive(browser, app.url())
        await asked(browser, app, app.url())
        await arrive(browser, app.url(redirect_uri=CALLBACK))
        for path in ("/oauth/logout", "/oauth/authorize", "/oauth/continue?request=x"):
            await browser.get(path)
    assert len(seen) > 10
    for response in seen:
        assert response.headers["cache-control"] == "no-store", response.url
        if response.status_code != 303:
            policy = response.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy
            assert "form-action 'self'" in policy
            assert response.headers["referrer-policy"] == "same-origin"


async def steps(browser: Browser, app: App) -> list[Any]:
    """Sign in for an app; return what an onlooker sees of each response but its texts."""
    seen: list[Any] = []

    async def record(response: httpx.Response) -> None:
        location = response.headers.get("location", "").partition("?")[0]
        names = sorted(response.headers.keys() - {"content-length"})
        seen.append((response.status_code, location, names))

    browser.http.event_hooks["response"].append(record)
    page = await open_sign_in(browser, app.url())
    await browser.see(await send_code(browser, page))
    return seen


async def test_known_and_unknown_phones_take_the_same_steps(service: Service) -> None:
    """Until the code was entered, nothing tells whether a phone has an account."""
    app = await register(service)
    known = await service.sign_in()
    service.clock.move(seconds=3)
    async with browsing(service, known.phone) as one, browsing(service) as other:
        assert await steps(one, app) == await steps(other, app)
