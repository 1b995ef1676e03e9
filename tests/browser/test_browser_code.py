"""The page of the code in a browser: its time, its buttons, and the code out of the message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from browser import accessibility_violations, new_session
from channels import providers
from sites import reachable
from support import Inbox, new_phone
from walks import CODE, Scene, ask_for_code, enter, notice, shown_code

# The page does not depend on the database
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

# A browser that waits for a message, which arrives when `arrive(code)` is called
_WEB_OTP = """
    window.OTPCredential = class {};
    window.asked = [];
    navigator.credentials.get = (options) => new Promise((resolve, reject) => {
        window.asked.push(options);
        window.arrive = (code) => resolve({ code });
        options.signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    });
"""

# Submit the first form without leaving; return the button's width and text, what screen readers are
# told and whether the form is busy: before, then, and once the page is shown again
_SUBMIT = """() => {
    const form = document.querySelector("main form"), button = form.querySelector("button");
    const status = document.querySelector("body > [aria-live]");
    const seen = () => [button.offsetWidth, button.innerText, status.innerText, form.ariaBusy];
    form.addEventListener("submit", (event) => event.preventDefault(), { once: true });
    const before = seen();
    form.requestSubmit();
    const during = seen();
    dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    return [before, during, seen()];
}"""

_CLICK_TWICE = "(button) => { button.click(); button.click(); return button.innerText }"


@pytest.fixture
async def scene(chromium: Browser, database_url: str) -> AsyncIterator[Scene]:
    async with (
        reachable(database_url) as (service, site),
        new_session(chromium, site) as session,
    ):
        yield Scene(service, session)


async def test_code_page_turns_into_a_new_code(scene: Scene) -> None:
    """When the time is over, without a reload: what was typed stays, and nothing moves."""
    session, page = scene.session, scene.session.page
    await page.clock.install()
    await session.go("/")
    await ask_for_code(session, new_phone())
    timer, status = page.locator("#good"), page.locator("body > [aria-live]")
    go_on, again = page.locator("#go-on"), page.locator("#again")
    await expect(timer).to_be_visible()
    assert (await timer.inner_text()).startswith("The code is good for ")
    await page.fill(CODE, "12")
    await page.clock.fast_forward(60_000)
    assert "1:00." in await timer.inner_text() or "0:5" in await timer.inner_text()
    # Screen readers hear it twice, not every second
    assert await timer.get_attribute("aria-live") is None
    await expect(status).to_have_text("")
    await page.clock.fast_forward(40_000)
    await expect(status).to_contain_text("The code is good for 0:")
    assert await classes(go_on, again) == ["main", ""]
    places = [await go_on.bounding_box(), await again.bounding_box()]
    await page.clock.fast_forward(25_000)
    await expect(status).to_have_text("This code has expired. Ask for a new one.")
    assert await classes(go_on, again) == ["", "main"]
    assert [await go_on.bounding_box(), await again.bounding_box()] == places
    assert await page.input_value(CODE) == "12"
    assert not await session.layout_shifts()
    assert not await accessibility_violations(page)
    scene.service.clock.move(minutes=3)
    await session.submit("#again")
    assert await notice(session) == "A new code is on its way. Use the newest one."
    assert await page.evaluate("document.activeElement.id") == "code"
    assert await classes(go_on, again) == ["main", ""]
    await enter(session, await shown_code(session))
    assert session.path() == "/me"


async def test_code_comes_out_of_the_message(scene: Scene) -> None:
    """The browser is asked once, gets the code and submits it; leaving the page ends the asking."""
    session, page = scene.session, scene.session.page
    await page.add_init_script(_WEB_OTP)
    await session.go("/")
    await ask_for_code(session, new_phone())
    assert await page.evaluate("asked.map(({ otp }) => otp)") == [{"transport": ["sms"]}]
    code = await shown_code(session)
    async with page.expect_navigation():
        await page.evaluate("(code) => arrive(code)", code)
    assert session.path() == "/me"
    # Typed by hand instead: the asking ends, and nothing complains
    await session.submit("form[action='/sign-out'] button")
    await ask_for_code(session, new_phone())
    await page.evaluate(
        "asked[0].signal.addEventListener('abort', () => localStorage.setItem('over', '1'))"
    )
    await enter(session, await shown_code(session))
    assert await page.evaluate("localStorage.getItem('over')") == "1"


async def test_buttons_say_what_is_going_on(scene: Scene) -> None:
    """Until the next page is there; a page that comes out of the browser's cache is as before."""
    session, page = scene.session, scene.session.page
    await session.go("/")
    await page.fill("#phone", "+79991234567")
    before, during, after = await page.evaluate(_SUBMIT)
    assert before == after
    assert before[1:] == ["Send the code", "", None]
    assert during == [before[0], "Sending…", "Sending…", "true"]
    await ask_for_code(session, "+79991234567")
    await page.evaluate("document.querySelector('[data-length]').removeAttribute('data-length')")
    await page.fill(CODE, "1234")
    before, during, after = await page.evaluate(_SUBMIT)
    assert before == after
    assert during == [before[0], "Checking…", "Checking…", "true"]


async def test_without_javascript_the_page_says_what_was_true(
    chromium: Browser, database_url: str
) -> None:
    inbox = Inbox(echoes_code=False)
    async with (
        reachable(database_url, inbox=inbox) as (_, site),
        new_session(chromium, site, javascript=False) as session,
    ):
        await session.go("/")
        await session.page.select_option("#country", "FR")
        await ask_for_code(session, "06 12 34 56 78")
        assert "+33 6 12 34 56 78" in await session.text("h1 + p")
        assert "The code is good for 1 minute" in await session.text() or (
            "The code is good for 2 minutes" in await session.text()
        )
        await session.page.click(".help summary")
        assert "flight mode" in await session.text(".help")
        assert not await session.page.locator("#good").is_visible()
        await enter(session, sent_code(inbox))
        assert session.path() == "/me"


async def test_sign_in_through_telegrams_button(chromium: Browser, database_url: str) -> None:
    """All buttons wait together; then one click sends the code another way."""
    inbox = Inbox(echoes_code=False)
    with providers() as fakes:
        waits = {"REFERRAL_RESEND_WAITS": "50"}
        async with (
            reachable(database_url, inbox=inbox, **fakes.variables, **waits) as (service, site),
            new_session(chromium, site) as session,
        ):
            page = session.page
            await page.clock.install()
            await session.go("/")
            await ask_for_code(session, new_phone())
            buttons = page.get_by_role("group", name="Get it another way").get_by_role("button")
            assert await buttons.all_inner_texts() == ["Telegram", "WhatsApp", "Call me"]
            assert [await each.is_enabled() for each in await buttons.all()] == 3 * [False]
            assert not await session.layout_shifts()
            assert not await accessibility_violations(page)
            await page.clock.fast_forward(51_000)
            service.clock.move(seconds=51)
            await expect(page.locator("#again")).to_be_enabled()
            await expect(buttons.first).to_be_enabled()
            assert not await accessibility_violations(page)
            async with page.expect_navigation():
                await page.get_by_role("button", name="Telegram").click()
            assert await notice(session) == "A new code is on its way. Use the newest one."
            assert (await session.text(".lead")).startswith("We sent it by Telegram to ")
            assert await page.evaluate("document.activeElement.id") == "code"
            await page.click(".help summary")
            assert "Verification Codes" in await session.text(".help")
            assert len(inbox.messages) == 1
            await enter(session, fakes.telegram.jsons[-1]["code"])
            assert session.path() == "/me"


async def test_button_of_a_channel_says_what_is_going_on(
    chromium: Browser, database_url: str
) -> None:
    """Until the next page is there. A second click sends nothing."""
    with providers() as fakes:
        async with (
            reachable(database_url, inbox=None, **fakes.variables) as (_, site),
            new_session(chromium, site) as session,
        ):
            await session.go("/")
            await ask_for_code(session, new_phone())
            call = session.page.locator("button[value=voice]")
            async with session.page.expect_navigation():
                assert await call.evaluate(_CLICK_TWICE) == "Calling…"
            assert await session.text("#again") == "Call again"
            assert fakes.received == {"voice": 1}


def sent_code(inbox: Inbox) -> str:
    return inbox.messages[-1].text.rsplit("#", 1)[-1].split()[0]


async def classes(*buttons: Any) -> list[str]:
    return [await each.get_attribute("class") or "" for each in buttons]
