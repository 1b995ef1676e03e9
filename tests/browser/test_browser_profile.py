"""The profile in a browser: changes, lists, downloads and the ends of sessions."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Browser

from browser import DESKTOP, new_session
from support import new_phone, ok, wrong_code
from walks import (
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


async def test_name_and_email(scene: Scene) -> None:
    """Each is edited in place; an invalid email is refused beside its field and kept in it."""
    session = scene.session
    await sign_in(session)
    await change(session, "email", "anna@example.com")
    await change(session, "name", "Анна")
    assert {"Анна", "anna@example.com"} <= set((await session.text("main")).split("\n"))
    # The browser accepts this address, the service does not
    await change(session, "email", "anna@nowhere")
    assert "Enter an email address" in await error(session, "email")
    assert await session.page.input_value("input[name=email]") == "anna@nowhere"
    await change(session, "email", "")
    assert await notice(session) == "Saved."
    text = await session.text("main")
    assert "Анна" in text
    assert "@example.com" not in text


async def test_name_that_is_too_long(scene: Scene) -> None:
    """Sent by a browser that ignores maxlength."""
    session = scene.session
    await sign_in(session)
    await session.go("/me/account")
    await session.page.evaluate(
        "document.querySelectorAll('input').forEach((i) => i.maxLength = 999)"
    )
    await change(session, "name", "n" * 101)
    assert "1 to 100 ordinary characters" in await error(session, "name")


async def test_change_of_phone(scene: Scene) -> None:
    """After every refusal: an invalid phone, a taken one, a wrong code."""
    session, service = scene.session, scene.service
    await sign_in(session)
    somebody = await service.sign_in()
    await session.go("/me/account")
    await session.page.click("a[href='/me/phone']")
    await ask_for_code(session, "12")
    assert "not a phone number" in await error(session, "phone")
    service.clock.move(seconds=3)
    await ask_for_code(session, somebody.phone)
    if session.path().startswith("/me/phone/code"):
        await enter(session, await shown_code(session))
        assert session.path() == "/me/phone"
    assert "Another account uses this phone number" in await error(session, "phone")
    phone = new_phone()
    await ask_for_code(session, phone)
    assert session.path().startswith("/me/phone/code?tab=")
    code = await shown_code(session)
    await enter(session, wrong_code(code))
    assert "You have 2 tries left" in await error(session, "code")
    await enter(session, code)
    assert session.path() == "/me/account"
    assert "Your phone number is changed" in await notice(session)
    assert digits(phone) in digits(await session.text("main"))
    for _ in range(4):
        await session.page.go_back()
        assert session.path() in {"/me", "/me/account", "/me/phone"}
        assert session.path() == "/me" or digits(phone) in digits(await session.text("main"))


async def test_old_sign_in_needs_reauthentication(scene: Scene) -> None:
    """A new code leads back to the requested page; cancelling is possible."""
    session, service = scene.session, scene.service
    phone = await sign_in(session)
    service.clock.move(minutes=16)
    await session.go("/me/delete")
    assert session.path() == "/again?next=/me/delete"
    assert digits(phone) in digits(await session.text("main"))
    await session.page.get_by_role("link", name="Back to my page").click()
    assert session.path() == "/me"
    await session.go("/me/phone")
    assert session.path() == "/again?next=/me/phone"
    await session.submit("form[action^='/again?'] button")
    assert session.path().startswith("/code?tab=")
    await enter(session, await shown_code(session))
    assert session.path() == "/me/phone"
    await ask_for_code(session, new_phone())
    assert session.path().startswith("/me/phone/code?tab=")


async def test_deletion_of_the_account(scene: Scene) -> None:
    """After the confirmation the back button shows no personal data."""
    session = scene.session
    phone = await sign_in(session)
    await session.go("/me/account")
    await session.page.click("a[href='/me/delete']")
    await session.page.click("main form[action='/me/delete'] button")
    assert session.path() == "/me/delete"
    await session.page.check("input[name=sure]")
    await session.submit("main form[action='/me/delete'] button")
    assert await notice(session) == "Your account is deleted."
    await session.page.go_back()
    assert digits(phone) not in digits(await session.text("main"))
    await session.go("/me")
    assert session.path() == "/"


async def test_invitees_are_paginated(scene: Scene) -> None:
    session, service = scene.session, scene.service
    await sign_in(session)
    code = await session.text("#my-code")
    phones = set()
    for _ in range(60):
        invitee = await service.sign_in(invite_code=code)
        phones.add(digits(invitee.phone))
    await session.go("/me")
    assert "60" in await session.text("#used")
    await session.page.get_by_role("link", name="Show all").click()
    seen: list[str] = []
    while True:
        seen += [
            digits(each) for each in await session.page.locator("main .phone").all_inner_texts()
        ]
        older = session.page.locator("a[rel=next]")
        if not await older.count():
            break
        await session.submit("a[rel=next]")
    assert sorted(seen) == sorted(phones)
    assert "cursor=" in session.path()


async def test_devices_are_signed_out_one_by_one_and_all(scene: Scene, chromium: Browser) -> None:
    session = scene.session
    phone = await sign_in(session)
    async with new_session(chromium, session.site, device=DESKTOP) as other:
        scene.service.clock.move(seconds=3)
        await sign_in(other, phone)
        await session.go("/me/sessions")
        assert await session.text("li:has(.badge)")
        await session.page.click("main li:not(:has(.badge)) summary")
        await session.submit("main li:not(:has(.badge)) form button")
        assert await notice(session) == "That device is signed out."
        await other.go("/me")
        assert other.path() == "/?next=/me"
        scene.service.clock.move(seconds=3)
        await sign_in(other, phone)
        await session.page.click("details:has(#end-all) summary")
        await session.submit("#end-all")
        assert await notice(session) == "You are signed out everywhere."
        for each in (session, other):
            await each.go("/me/sessions")
            assert each.path() == "/?next=/me/sessions"


@SQLITE
async def test_data_and_qr_code_are_downloads(scene: Scene) -> None:
    session = scene.session
    phone = await sign_in(session)
    await session.go("/me/account")
    async with session.page.expect_download() as coming:
        await session.page.click("a[href='/me/data.json']")
    data = json.loads((await (await coming.value).path()).read_text())
    assert phone in json.dumps(data)
    await session.go("/me")
    await session.page.click(".qr-code summary")
    for name, begins in (("invite.svg", b"<?xml"), ("invite.png", b"\x89PNG")):
        async with session.page.expect_download() as coming:
            await session.page.click(f"a[href='/me/{name}']")
        file = await (await coming.value).path()
        assert file.read_bytes().startswith((begins, b"<svg"))


@SQLITE
@pytest.mark.parametrize("clipboard", ["refused", "missing"])
async def test_refused_copy_selects_the_link(scene: Scene, clipboard: str) -> None:
    """The page says so, and the link is selected so that it can be copied by hand."""
    session = scene.session
    await session.context.add_init_script(
        "navigator.clipboard.writeText = async () => { throw new Error('no') }"
        if clipboard == "refused"
        else "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
    )
    await sign_in(session)
    await session.page.click("[data-copy]")
    await session.page.get_by_text("It is selected now: copy it yourself.").wait_for()
    assert await session.page.evaluate("String(getSelection())") == await session.text("#my-link")


@SQLITE
@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without scripts"])
async def test_the_message_after_a_form_is_in_view(
    scene: Scene, chromium: Browser, *, javascript: bool
) -> None:
    """On a phone, without scrolling: the refused field or the notice has the focus."""
    async with new_session(chromium, scene.session.site, javascript=javascript) as session:
        await sign_in(session)
        for submit, shown, focus in (
            (use_invite_code(session, "ZZZZZZ"), "#invite_code-error", "invite_code"),
            (change(session, "email", "a@nowhere"), "#email-error", "email"),
            (change(session, "name", "Anna"), "main [role=status]", ""),
        ):
            await submit
            box = await session.page.locator(shown).bounding_box()
            assert box is not None
            top, height = await session.page.evaluate("[scrollY, innerHeight]")
            assert 0 <= box["y"] <= height - box["height"], (shown, box, top)
            assert await session.page.evaluate("document.activeElement.id") == focus
        await session.go("/me")
        for name in ("WhatsApp", "Telegram", "SMS", "Email"):
            assert await session.page.get_by_role("link", name=name).is_visible()
        assert await session.page.locator("[data-copy]").is_visible() == javascript


@SQLITE
async def test_invite_link_is_copied(scene: Scene) -> None:
    """The button appears only if scripts run."""
    session = scene.session
    await session.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await sign_in(session)
    await session.page.click("[data-copy]")
    await session.page.get_by_text("Copied").wait_for()
    copied = await session.page.evaluate("navigator.clipboard.readText()")
    assert copied == await session.text("#my-link")


async def test_session_outlives_its_access_token(scene: Scene) -> None:
    """Tokens are refreshed by any request, also by a form."""
    session = scene.session
    await sign_in(session)
    scene.service.clock.move(minutes=16)
    await change(session, "name", "Anna")
    assert await notice(session) == "Saved."
    scene.service.clock.move(days=31)
    await session.go("/me")
    assert session.path() == "/?next=/me"


async def test_sign_in_leads_to_the_requested_page(scene: Scene) -> None:
    session = scene.session
    await session.go("/me/sessions")
    assert session.path() == "/?next=/me/sessions"
    await ask_for_code(session, new_phone())
    await enter(session, await shown_code(session))
    assert session.path() == "/me/sessions"


async def test_form_is_kept_as_a_draft_after_a_sign_out(scene: Scene) -> None:
    """After a new sign-in the typed text is there again, but not saved."""
    session, service = scene.session, scene.service
    phone = await sign_in(session)
    service.clock.move(seconds=3)
    same = await service.sign_in(phone)
    await session.go("/me/account")
    ok(await same.call("DELETE", "/sessions"))
    await change(session, "name", "Anna")
    assert session.path().startswith("/?next=/me")
    assert (await notice(session)).startswith("You were signed out before this was done.")
    service.clock.move(seconds=3)
    await ask_for_code(session, phone)
    await enter(session, await shown_code(session))
    assert (await notice(session)).startswith("Nothing is changed yet.")
    field = session.page.locator("input[name=name]")
    assert await field.is_visible()
    assert await field.input_value() == "Anna"
    await session.page.reload()
    assert await field.input_value() == "Anna"
    await session.submit("details:has(input[name=name]) button")
    assert await notice(session) == "Saved."
    assert "Anna" in await session.text("main")
