"""Complete walks through the pages in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser

from browser import DESKTOP, BrowserSession, new_session
from processes import Server, serving
from proxies import nginx
from sites import reachable
from support import SECRET, new_phone, wrong_code
from walks import (
    CODE,
    Scene,
    ask_for_code,
    change,
    digits,
    enter,
    error,
    notice,
    shown_code,
    sign_in,
    use_invite_code,
)

SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
SCRIPTS = pytest.mark.parametrize("scripts", ["with scripts", "without scripts"])


@SCRIPTS
async def test_one_user_invites_another(chromium: Browser, served: Server, scripts: str) -> None:
    """On phones: sign up, set a name, share the link, accept the invitation."""
    javascript = scripts == "with scripts"
    async with (
        new_session(chromium, served.url, javascript=javascript) as anna,
        new_session(chromium, served.url, javascript=javascript) as boris,
    ):
        phone = await sign_in(anna)
        assert anna.path() == "/me"
        assert "Nobody yet." in await anna.text()
        await change(anna, "name", "Anna Petrova")
        assert await notice(anna) == "Saved."
        assert digits(phone) in digits(await anna.text("main"))
        await anna.go("/me")

        link = await anna.text("#my-link")
        await boris.go(link)
        assert await boris.text("h1") == "Anna invites you to Referral"
        assert "will see your phone number" in await boris.text("main")
        assert "Petrova" not in await boris.text()
        invited = new_phone()
        await ask_for_code(boris, invited)
        await enter(boris, await shown_code(boris))
        assert boris.path() == "/me"
        assert "You joined Referral. Anna invited you." in await notice(boris)
        code = await anna.text("#my-code")
        await boris.go("/me/account")
        invited_by = await boris.text("section:has(#inviter)")
        assert f"Anna invited me, with the invite code {code}" in invited_by

        await anna.page.reload()
        used = await anna.text("section:has(#used)")
        assert digits(invited) in digits(used)
        await anna.submit("form[action='/sign-out'] button")
        assert await notice(anna) == "You are signed out."


@SCRIPTS
async def test_invite_code_is_entered_on_the_profile(
    chromium: Browser, served: Server, scripts: str
) -> None:
    """After every refusal; the field keeps the typed text."""
    async with (
        new_session(chromium, served.url) as inviter,
        new_session(chromium, served.url, javascript=scripts == "with scripts") as person,
    ):
        await sign_in(inviter)
        code = await inviter.text("#my-code")
        await sign_in(person)
        own = await person.text("#my-code")
        await use_invite_code(person, "ZZZZZZ")
        assert "There is no such invite code" in await error(person, "invite_code")
        assert await person.page.input_value("input[name=invite_code]") == "ZZZZZZ"
        await use_invite_code(person, own)
        assert "your own" in await error(person, "invite_code")
        await use_invite_code(person, f" {code.lower()} ")
        assert "by a friend's invitation" in await notice(person)
        await inviter.go("/me")
        await inviter.page.locator("section:has(#used) .phone").first.wait_for()
        # A second activation is impossible
        await person.go(f"/i/{code}")
        assert "accepted this invitation already" in await person.text("main")
        assert not await person.page.locator("form[action='/me/inviter']").count()


async def test_production_behind_a_proxy(chromium: Browser, tmp_path: Path) -> None:
    """Over TLS the browser accepts the cookies with the prefix `__Host-`."""
    settings = {
        "REFERRAL_ENV": "production",
        "DATABASE_URL": "sqlite://referral.sqlite3",
        "REFERRAL_SECRET": SECRET,
        "REFERRAL_PUBLIC_URL": "https://referral.example.com",
        "REFERRAL_TRUSTED_PROXIES": "1",
    }
    with serving(tmp_path, **settings) as server:
        port = int(server.url.rpartition(":")[2])
        with nginx(tmp_path, [port, port]) as proxy:
            async with new_session(chromium, proxy.url, any_certificate=True) as session:
                await sign_in(session)
                assert session.path() == "/me"
                cookies = await session.context.cookies()
                assert {each["name"] for each in cookies} == {
                    "__Host-access",
                    "__Host-refresh",
                    "__Host-device",
                }
                for cookie in cookies:
                    assert cookie["secure"]
                    assert cookie["httpOnly"]
                    assert cookie["sameSite"] == "Lax"
                await change(session, "name", "Anna")
                assert await notice(session) == "Saved."
                await session.submit("form[action='/sign-out'] button")
                await session.go("/me")
                assert session.path() == "/"


async def test_back_button_always_leads_on(scene: Scene) -> None:
    """Each step of the sign-in that it leads to can be continued."""
    session, page = scene.session, scene.session.page
    await session.go("/")
    phone = new_phone()
    await ask_for_code(session, phone)
    await page.go_back()
    assert session.path() == "/"
    await page.go_forward()
    code = await shown_code(session)
    await enter(session, wrong_code(code))
    await enter(session, wrong_code(code))
    await page.go_back()
    assert session.path().startswith("/code?tab=")
    await page.go_back()
    await page.go_back()
    assert session.path() == "/"
    await page.fill("input[name=phone]", "12")
    await session.submit("button.main")
    await page.go_back()
    scene.service.clock.move(seconds=3)
    await ask_for_code(session, phone)
    await enter(session, await shown_code(session))
    assert session.path() == "/me"
    await page.go_back()
    assert session.path() == "/me", "signed in, there is no code to enter"
    await session.submit("form[action='/sign-out'] button")
    await page.go_back()
    assert session.path().startswith("/?next=") or session.path() == "/"
    assert digits(phone) not in digits(await session.text("main"))


async def test_older_code_page_still_works(scene: Scene) -> None:
    """Its form has its own challenge, even after another tab requested a new code."""
    session = scene.session
    await session.go("/")
    await ask_for_code(session, new_phone())
    code = await shown_code(session)
    tab = await session.context.new_page()
    other = BrowserSession(tab, session.site)
    scene.service.clock.move(seconds=3)
    await other.go("/code")
    await other.submit("#again")
    await enter(session, code)
    assert session.path() == "/me"
    await other.go("/code")
    assert other.path() == "/me"


@SQLITE
@SCRIPTS
async def test_sign_in_by_keyboard(scene: Scene, scripts: str, chromium: Browser) -> None:
    """The main field has the focus, Enter submits, and every focused element has an outline."""
    javascript = scripts == "with scripts"
    site = scene.session.site
    async with new_session(chromium, site, device=DESKTOP, javascript=javascript) as session:
        keyboard = session.page.keyboard
        await session.go("/")
        # The field gets the focus a moment after the page has loaded
        await session.page.locator("#phone:focus").wait_for()
        await keyboard.type(new_phone())
        async with session.page.expect_navigation():
            await keyboard.press("Enter")
        assert session.path().startswith("/code?tab=")
        code = await shown_code(session)
        await session.page.locator(f"{CODE}:focus").wait_for()
        async with session.page.expect_navigation():
            await keyboard.type(code)
            if not javascript:
                await keyboard.press("Enter")
        assert session.path() == "/me"
        reached = []
        for _ in range(40):
            await keyboard.press("Tab")
            focused = session.page.locator(":focus")
            if not await focused.count():
                break
            reached.append(
                await focused.evaluate(
                    "(it) => [it.tagName, it.textContent.trim() || it.name,"
                    " getComputedStyle(it).outlineStyle]"
                )
            )
        assert all(outline != "none" for _, _, outline in reached), reached
        words = " ".join(text for _, text, _ in reached)
        for expected in ("Skip to the content", "Account", "Sign out", "WhatsApp", "Use the code"):
            assert expected in words


@SQLITE
class TestCodeField:
    async def test_accepts_pasted_text(self, scene: Scene) -> None:
        """The pasted code is submitted automatically."""
        session = scene.session
        await session.go("/")
        await ask_for_code(session, new_phone())
        await session.page.locator("#simulated-code").click(click_count=3)
        await session.page.keyboard.press("Control+C")
        await session.page.focus(CODE)
        async with session.page.expect_navigation():
            await session.page.keyboard.press("Control+V")
        assert session.path() == "/me"

    async def test_accepts_grouped_digits(self, scene: Scene) -> None:
        session = scene.session
        await session.go("/")
        await ask_for_code(session, new_phone())
        code = await shown_code(session)
        await session.page.focus(CODE)
        async with session.page.expect_navigation():
            await session.page.keyboard.insert_text(f" {code[:2]}-{code[2:]} ")
        assert session.path() == "/me"

    @pytest.mark.parametrize("scripts", ["with scripts", "without scripts"])
    async def test_accepts_a_message_and_digits_of_any_script(
        self, scene: Scene, chromium: Browser, scripts: str
    ) -> None:
        site, javascript = scene.session.site, scripts == "with scripts"
        for arabic in (False, True):
            async with new_session(chromium, site, javascript=javascript) as session:
                await session.go("/")
                await ask_for_code(session, new_phone())
                code = await shown_code(session)
                text = f"13:40 Bloom: {code} is your code. @x.example #{code}"
                if arabic:
                    text = code.translate({ord("0") + n: 0x660 + n for n in range(10)})
                await session.page.focus(CODE)
                async with session.page.expect_navigation():
                    await session.page.keyboard.insert_text(text)
                    if not (javascript and arabic):
                        await session.page.keyboard.press("Enter")
                assert session.path() == "/me"

    async def test_is_marked_as_one_time_code(self, scene: Scene) -> None:
        await scene.session.go("/")
        await ask_for_code(scene.session, new_phone())
        field = scene.session.page.locator(CODE)
        assert await field.get_attribute("autocomplete") == "one-time-code"
        assert await field.get_attribute("inputmode") == "numeric"
        assert await field.evaluate("(it) => it === document.activeElement")


@SQLITE
async def test_wait_for_a_new_code_is_counted_down(chromium: Browser, database_url: str) -> None:
    """With scripts it is counted down; without, the refusal of the button says it."""
    async with (
        reachable(database_url, REFERRAL_RESEND_WAITS="50") as (service, site),
        new_session(chromium, site) as session,
        new_session(chromium, site, javascript=False) as plain,
    ):
        await plain.go("/")
        await ask_for_code(plain, new_phone())
        await plain.submit("#again")
        assert "Try again in" in await plain.text("#again-error")
        await session.page.clock.install()
        await session.go("/")
        await ask_for_code(session, new_phone())
        again = session.page.locator("#again")
        assert await again.is_disabled()
        before = int(digits(await session.text("#resend-in")))
        await session.page.clock.fast_forward(5_000)
        assert before - 10 < int(digits(await session.text("#resend-in"))) < before
        await session.page.clock.fast_forward(46_000)
        service.clock.move(seconds=50)
        await session.page.locator("#again:enabled").wait_for()
        assert not await session.page.locator("#resend-in").is_visible()
        await session.submit("#again")
        assert await notice(session) == "A new code is on its way. Use the newest one."
        await enter(session, await shown_code(session))
        assert session.path() == "/me"


@SQLITE
async def test_language_is_the_browsers_until_one_is_chosen(
    scene: Scene, chromium: Browser
) -> None:
    async with new_session(chromium, scene.session.site, language="ru-RU") as session:
        await session.go("/")
        await is_in(session, "ru")
        await choose(session, "en")
        await is_in(session, "en")
        await ask_for_code(session, new_phone())
        await is_in(session, "en")
        await choose(session, "ru")
        assert session.path().startswith("/code?tab=")
        await is_in(session, "ru")
        await enter(session, await shown_code(session))
        assert session.path() == "/me"
        await is_in(session, "ru")
    assert [each.language for each in scene.service.inbox.messages] == ["en"]


async def choose(session: BrowserSession, language: str) -> None:
    """Choose a language at the foot of the page, with the keyboard."""
    await session.page.locator(".languages summary").press("Enter")
    button = session.page.locator(f"button[name=language][value={language}]")
    async with session.page.expect_navigation():
        await button.press("Enter")


async def is_in(session: BrowserSession, language: str) -> None:
    html = session.page.locator("html")
    assert await html.get_attribute("lang") == language
    chosen = session.page.locator("[aria-current=true][name=language]")
    assert await chosen.get_attribute("value") == language
