"""The pages of the administration in a browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser

from browser import DESKTOP, PHONE, BrowserSession, new_session
from referral.service import admins
from sites import reachable
from support import Person, Service, context_of, new_phone, ok
from walks import Scene, digits, notice, sign_in


async def enter_as_admin(session: BrowserSession, service: Service) -> str:
    """Sign in as a new administrator, go to the administration, and return the phone."""
    phone = new_phone()
    await admins.grant(context_of(service), phone)
    await sign_in(session, phone)
    await session.submit("header a[href='/admin']")
    return phone


async def open_and_press(session: BrowserSession, action: str) -> None:
    """Open an action that asks for confirmation, and confirm it."""
    button = session.page.locator(f"#{action}")
    assert not await button.is_visible()
    await session.page.click(f"details:has(#{action}) summary")
    await session.submit(f"#{action}")


async def family(service: Service) -> list[Person]:
    """Make three users: Anna invited Boris, who invited Clara."""
    people: list[Person] = []
    for name in ("Anna", "Boris", "Clara"):
        code = {"invite_code": await people[-1].invite_code()} if people else {}
        person = await service.sign_in(**code)
        ok(await person.call("PATCH", "/profile", json={"name": name}))
        people.append(person)
    return people


@pytest.mark.parametrize(
    ("device", "javascript"),
    [(PHONE, True), (DESKTOP, False)],
    ids=["telephone with scripts", "computer without"],
)
async def test_administrator_manages_users(
    chromium: Browser, database_url: str, device: dict[str, Any], *, javascript: bool
) -> None:
    """From the statistics to a user, down the tree, and through every action."""
    async with (
        reachable(database_url) as (service, site),
        new_session(chromium, site, device=device, javascript=javascript) as session,
    ):
        anna, boris, clara = await family(service)
        await enter_as_admin(session, service)
        assert await session.text("#users") == "4"
        assert await session.text("#activations") == "2"
        assert await session.text("#days-activations") == "2"
        assert await session.text("#k-factor") == "0.50"
        chart = session.page.get_by_role("img", name="Sign-ups and activations by day")
        assert await chart.is_visible()
        assert digits(anna.phone) in digits(await session.text("#top-inviters"))

        await session.submit("nav a[href='/admin/users']")
        await session.page.fill("input[name=search]", "ann")
        await session.submit("form[role=search] button")
        assert await session.page.locator("#users tbody tr").count() == 1
        await session.submit("#users a")
        assert digits(anna.phone) in digits(await session.text("h1"))
        tree = session.page.locator(".tree")
        assert digits(boris.phone) in digits(await tree.inner_text())
        assert not await tree.get_by_text("Clara").is_visible()
        await tree.locator("summary").click()
        assert await tree.get_by_text("Clara").is_visible()
        await session.submit(f".tree a[href='/admin/users/{clara.id()}']")
        assert digits(boris.phone) in digits(await session.text("#inviter"))

        await open_and_press(session, "block")
        assert await session.page.get_by_text("blocked", exact=True).first.is_visible()
        assert (await clara.call("GET", "/profile")).status_code in {401, 403}
        await open_and_press(session, "unblock")
        await open_and_press(session, "make-admin")
        assert await session.page.get_by_text("administrator", exact=True).first.is_visible()
        await open_and_press(session, "take-admin")
        await open_and_press(session, "void")
        assert "nobody" in await session.text("#inviter")
        await open_and_press(session, "delete")
        assert session.path() == "/admin/users"
        assert await notice(session)
        assert digits(clara.phone) not in digits(await session.text("#users"))

        await session.submit("nav a[href='/admin/audit']")
        assert await session.page.locator(".trail li").count() > 8
        await session.submit("nav a[href='/me']")
        assert session.path() == "/me"


async def test_api_key_is_shown_once_and_revoked(scene: Scene) -> None:
    session, service = scene.session, scene.service
    await enter_as_admin(session, service)
    await session.submit("nav a[href='/admin/keys']")
    await session.page.fill("input[name=name]", "the shop")
    await session.submit("form[action='/admin/keys'] button")
    key = (await session.text("#new-key")).strip()
    headers = {"Authorization": f"Bearer {key}"}
    assert (await service.http.get("/api/v1/users", headers=headers)).status_code == 200
    await session.page.reload()
    assert key not in await session.page.content()
    await session.page.fill("input[name=name]", "the shop")
    await session.submit("form[action='/admin/keys'] button")
    assert await session.text("#name-error")
    await session.page.click("#keys summary")
    await session.submit("#keys form button")
    assert (await service.http.get("/api/v1/users", headers=headers)).status_code == 401
    assert not await session.page.locator("#keys").count()


async def test_last_administrator_stays(scene: Scene) -> None:
    """The reason is shown at the button."""
    session, service = scene.session, scene.service
    phone = await enter_as_admin(session, service)
    await session.go(f"/admin/users?search={phone[1:]}")
    await session.submit("#users a")
    for action in ("take-admin", "block", "delete"):
        button = session.page.locator(f"#{action}")
        if not await button.is_visible():
            await session.page.click(f"details:has(#{action}) summary")
        await session.submit(f"#{action}")
        assert await session.text(f"#{action}-error")
        assert await button.is_visible()
        assert await button.get_attribute("aria-describedby") == f"{action}-error"


async def test_invalid_days(scene: Scene) -> None:
    session = scene.session
    await enter_as_admin(session, scene.service)
    await session.page.fill("input[name=from]", "2026-03-02")
    await session.page.fill("input[name=to]", "2026-03-01")
    await session.submit("form[action='/admin'] button")
    assert await session.page.locator("[aria-invalid=true]").count()
    assert await session.page.input_value("input[name=from]") == "2026-03-02"
    await session.page.fill("input[name=to]", "2026-03-03")
    await session.submit("form[action='/admin'] button")
    assert "from=2026-03-02" in session.path()


async def test_only_administrators_get_in(chromium: Browser, database_url: str) -> None:
    """Without a sign-in the pages redirect to it, and an ordinary user gets 403."""
    async with (
        reachable(database_url) as (service, site),
        new_session(chromium, site, expected=[403]) as session,
    ):
        somebody = (await service.sign_in()).id()
        await session.go("/admin/audit")
        assert session.path() == "/?next=/admin/audit"
        await sign_in(session)
        for path in ("", "/users", f"/users/{somebody}", "/keys", "/webhooks", "/audit"):
            response = await session.go(f"/admin{path}")
            assert response.status == 403
            assert "This page is only for administrators." in await session.text("main")
            assert await session.page.locator("main a").count(), "a way on"
        await session.go("/me")
        assert not await session.page.locator("a[href='/admin']").count()
