"""One's profile: what one changes, sees, downloads and ends there."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Browser

from browser import DESKTOP, visiting
from support import new_phone, ok
from walks import Scene, ask_for_code, change, digits, enter, error, notice, shown_code, sign_in

SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


async def test_a_name_and_an_email(scene: Scene) -> None:
    """Each in its place; the one that cannot be is told beside its field and stays in it."""
    visitor = scene.visitor
    await sign_in(visitor)
    await change(visitor, "email", "anna@example.com")
    await change(visitor, "name", "Анна")
    assert {"Анна", "anna@example.com"} <= set((await visitor.text("main")).split("\n"))
    # What the browser itself takes for an address, and the service does not
    await change(visitor, "email", "anna@nowhere")
    assert "This is not an email address" in await error(visitor, "email")
    assert await visitor.page.input_value("input[name=email]") == "anna@nowhere"
    await change(visitor, "email", "")
    assert await notice(visitor) == "Saved."
    text = await visitor.text("main")
    assert "Анна" in text
    assert "@example.com" not in text


async def test_a_name_that_is_too_long(scene: Scene) -> None:
    """As somebody sends it whose browser does not count."""
    visitor = scene.visitor
    await sign_in(visitor)
    await visitor.page.evaluate(
        "document.querySelectorAll('input').forEach((i) => i.maxLength = 999)"
    )
    await change(visitor, "name", "n" * 101)
    assert "1 to 100 characters" in await error(visitor, "name")


async def test_another_phone(scene: Scene) -> None:
    """Through every refusal: taken, no phone at all, a wrong code."""
    visitor, service = scene.visitor, scene.service
    await sign_in(visitor)
    somebody = await service.sign_in()
    await visitor.go("/me")
    await visitor.page.click("a[href='/me/phone']")
    await ask_for_code(visitor, "12")
    assert "not a phone number" in await error(visitor, "phone")
    service.clock.move(seconds=3)
    await ask_for_code(visitor, somebody.phone)
    if visitor.path().startswith("/me/phone/code"):
        await enter(visitor, await shown_code(visitor))
        assert visitor.path() == "/me/phone"
    assert "Another account has this phone" in await error(visitor, "phone")
    phone = new_phone()
    await ask_for_code(visitor, phone)
    assert visitor.path().startswith("/me/phone/code?tab=")
    code = await shown_code(visitor)
    await enter(visitor, f"{(int(code) + 1) % 10_000:04}")
    assert "2 tries are left" in await error(visitor, "code")
    await enter(visitor, code)
    assert visitor.path() == "/me"
    assert "Your phone is changed" in await notice(visitor)
    assert digits(phone) in digits(await visitor.text("main"))
    for _ in range(4):
        await visitor.page.go_back()
        assert visitor.path() in {"/me", "/me/phone"}
        assert digits(phone) in digits(await visitor.text("main"))


async def test_an_old_sign_in_is_made_sure_of_first(scene: Scene) -> None:
    """Through a new code, and back to where one was going; to cancel is possible."""
    visitor, service = scene.visitor, scene.service
    phone = await sign_in(visitor)
    service.clock.move(minutes=16)
    await visitor.go("/me/delete")
    assert visitor.path() == "/again?next=/me/delete"
    assert digits(phone) in digits(await visitor.text("main"))
    await visitor.page.get_by_role("link", name="Back to my profile").click()
    assert visitor.path() == "/me"
    await visitor.go("/me/phone")
    assert visitor.path() == "/again?next=/me/phone"
    await visitor.submit("form[action^='/again?'] button")
    assert visitor.path().startswith("/code?tab=")
    await enter(visitor, await shown_code(visitor))
    assert visitor.path() == "/me/phone"
    await ask_for_code(visitor, new_phone())
    assert visitor.path().startswith("/me/phone/code?tab=")


async def test_deleting_the_account(scene: Scene) -> None:
    """After one said to be sure; nothing is left to go back to."""
    visitor = scene.visitor
    phone = await sign_in(visitor)
    await visitor.page.click("a[href='/me/delete']")
    await visitor.page.click("main form[action='/me/delete'] button")
    assert visitor.path() == "/me/delete"
    await visitor.page.check("input[name=sure]")
    await visitor.submit("main form[action='/me/delete'] button")
    assert await notice(visitor) == "Your account is deleted."
    await visitor.page.go_back()
    assert digits(phone) not in digits(await visitor.text("main"))
    await visitor.go("/me")
    assert visitor.path() == "/"


async def test_who_used_my_code_is_read_a_page_at_a_time(scene: Scene) -> None:
    visitor, service = scene.visitor, scene.service
    await sign_in(visitor)
    code = await visitor.text("#my-code")
    phones = set()
    for _ in range(60):
        invitee = await service.sign_in(invite_code=code)
        phones.add(digits(invitee.phone))
    await visitor.go("/me")
    assert "60" in await visitor.text("#used")
    await visitor.page.get_by_role("link", name="Show all").click()
    seen: list[str] = []
    while True:
        seen += [
            digits(each) for each in await visitor.page.locator("main .phone").all_inner_texts()
        ]
        older = visitor.page.locator("a[rel=next]")
        if not await older.count():
            break
        await visitor.submit("a[rel=next]")
    assert sorted(seen) == sorted(phones)
    assert "cursor=" in visitor.path()


async def test_devices_are_signed_out_one_by_one_and_all(scene: Scene, chromium: Browser) -> None:
    visitor = scene.visitor
    phone = await sign_in(visitor)
    async with visiting(chromium, visitor.site, device=DESKTOP) as other:
        scene.service.clock.move(seconds=3)
        await sign_in(other, phone)
        await visitor.go("/me/sessions")
        assert await visitor.text("li:has(.badge)")
        await visitor.page.click("main li:not(:has(.badge)) summary")
        await visitor.submit("main li:not(:has(.badge)) form button")
        assert await notice(visitor) == "That device is signed out."
        await other.go("/me")
        assert other.path() == "/?next=/me"
        scene.service.clock.move(seconds=3)
        await sign_in(other, phone)
        await visitor.page.click("details:has(#end-all) summary")
        await visitor.submit("#end-all")
        assert await notice(visitor) == "You are signed out everywhere."
        for each in (visitor, other):
            await each.go("/me/sessions")
            assert each.path() == "/?next=/me/sessions"


@SQLITE
async def test_my_data_and_my_qr_code_are_files(scene: Scene) -> None:
    visitor = scene.visitor
    phone = await sign_in(visitor)
    async with visitor.page.expect_download() as coming:
        await visitor.page.click("a[href='/me/data.json']")
    data = json.loads((await (await coming.value).path()).read_text())
    assert phone in json.dumps(data)
    for name, begins in (("invite.svg", b"<?xml"), ("invite.png", b"\x89PNG")):
        async with visitor.page.expect_download() as coming:
            await visitor.page.click(f"a[href='/me/{name}']")
        file = await (await coming.value).path()
        assert file.read_bytes().startswith((begins, b"<svg"))


@SQLITE
@pytest.mark.parametrize("clipboard", ["refused", "missing"])
async def test_a_copy_that_the_browser_refuses(scene: Scene, clipboard: str) -> None:
    """It is said, and the text is selected to be copied by hand."""
    visitor = scene.visitor
    await visitor.context.add_init_script(
        "navigator.clipboard.writeText = async () => { throw new Error('no') }"
        if clipboard == "refused"
        else "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
    )
    await sign_in(visitor)
    await visitor.page.click("[data-copy]")
    await visitor.page.get_by_text("It is selected now: copy it yourself.").wait_for()
    assert await visitor.page.evaluate("String(getSelection())") == await visitor.text("#my-link")


@SQLITE
async def test_the_invite_link_is_copied(scene: Scene) -> None:
    """Where scripts run: the button is not there otherwise."""
    visitor = scene.visitor
    await visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await sign_in(visitor)
    await visitor.page.click("[data-copy]")
    await visitor.page.get_by_text("Copied").wait_for()
    copied = await visitor.page.evaluate("navigator.clipboard.readText()")
    assert copied == await visitor.text("#my-link")


async def test_the_session_goes_on_when_its_access_token_is_over(scene: Scene) -> None:
    """Renewed under way, also by a form, so that nothing typed is lost."""
    visitor = scene.visitor
    await sign_in(visitor)
    scene.service.clock.move(minutes=16)
    await change(visitor, "name", "Anna")
    assert await notice(visitor) == "Saved."
    scene.service.clock.move(days=31)
    await visitor.go("/me")
    assert visitor.path() == "/?next=/me"


async def test_where_one_was_going_is_kept_over_the_sign_in(scene: Scene) -> None:
    visitor = scene.visitor
    await visitor.go("/me/sessions")
    assert visitor.path() == "/?next=/me/sessions"
    await ask_for_code(visitor, new_phone())
    await enter(visitor, await shown_code(visitor))
    assert visitor.path() == "/me/sessions"


async def test_a_form_of_somebody_signed_out_meanwhile(scene: Scene) -> None:
    """In another tab, say: a new sign-in, and what was typed is there again, but not saved."""
    visitor, service = scene.visitor, scene.service
    phone = await sign_in(visitor)
    service.clock.move(seconds=3)
    same = await service.sign_in(phone)
    ok(await same.call("DELETE", "/sessions"))
    await change(visitor, "name", "Anna")
    assert visitor.path().startswith("/?next=/me")
    assert (await notice(visitor)).startswith("You were signed out before this was done.")
    service.clock.move(seconds=3)
    await ask_for_code(visitor, phone)
    await enter(visitor, await shown_code(visitor))
    assert (await notice(visitor)).startswith("Nothing is changed yet.")
    field = visitor.page.locator("input[name=name]")
    assert await field.is_visible()
    assert await field.input_value() == "Anna"
    await visitor.page.reload()
    assert await field.input_value() == "Anna"
    await visitor.submit("details:has(input[name=name]) button")
    assert await notice(visitor) == "Saved."
    assert "Anna" in await visitor.text("main")
