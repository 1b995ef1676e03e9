"""The way to an app in a real browser, whose content security policy may stop redirects."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, Route

import browser
from relying_party import CALLBACK, parameters_of, register
from sites import reachable
from support import new_phone
from walks import CODE, SIMULATED, Scene, ask_for_code

APP = "https://shop.example"


@pytest.fixture
async def scene(chromium: Browser, database_url: str) -> AsyncIterator[Scene]:
    """A visitor who may also be sent to the app."""
    async with (
        reachable(database_url) as (service, site),
        browser.new_session(chromium, site, origins=[APP]) as session,
    ):
        await session.context.route(f"{APP}/**", answer)
        yield Scene(service, session)


async def answer(route: Route) -> None:
    """Respond as the app, which has no server here."""
    await route.fulfill(body="the app")


async def enter_code(page: Page) -> str:
    """Type the code, which the script submits; return the app's code."""
    code = (await page.locator(SIMULATED).inner_text()).strip()
    await page.fill(CODE, code)
    await page.wait_for_url(f"{CALLBACK}?*")
    return parameters_of(page.url)["code"]


async def test_a_code_sent_from_two_tabs_leads_to_the_app_twice(scene: Scene) -> None:
    """The second tab's code is spent, but somebody is signed in."""
    session, app = scene.session, await register(scene.service)
    await session.go(app.url())
    await ask_for_code(session, new_phone())
    other = await session.context.new_page()
    await other.goto(session.page.url)
    codes = [await enter_code(page) for page in (session.page, other)]
    for code in codes:
        assert (await app.exchange(code)).status_code == 200


async def test_back_from_the_app_and_forward_again(scene: Scene) -> None:
    """Back leads to a page of ours that goes on to the app with another code."""
    session, app = scene.session, await register(scene.service)
    await session.go(app.url())
    await ask_for_code(session, new_phone())
    first = await enter_code(session.page)
    await session.page.go_back()
    await session.page.wait_for_url(f"{CALLBACK}?*")
    second = parameters_of(session.page.url)["code"]
    assert first != second
