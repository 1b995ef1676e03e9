"""The administrator's way through the pages, in a browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser

from browser import DESKTOP, PHONE, Visitor, visiting
from referral.service import admins
from sites import reachable
from support import Person, Service, context_of, new_phone, ok
from walks import Scene, digits, notice, sign_in


async def enter_as_admin(visitor: Visitor, service: Service) -> str:
    """The phone of somebody whom the command made an administrator before."""
    phone = new_phone()
    await admins.grant(context_of(service), phone)
    await sign_in(visitor, phone)
    await visitor.submit("header a[href='/admin']")
    return phone


async def open_and_press(visitor: Visitor, action: str) -> None:
    """Do what asks first: only the second button does it."""
    button = visitor.page.locator(f"#{action}")
    assert not await button.is_visible()
    await visitor.page.click(f"details:has(#{action}) summary")
    await visitor.submit(f"#{action}")


async def family(service: Service) -> list[Person]:
    """Three generations: Anna invited Boris, who invited Clara."""
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
async def test_an_administrator_looks_after_people(
    chromium: Browser, database_url: str, device: dict[str, Any], *, javascript: bool
) -> None:
    """From the numbers to a user, down the tree, and every action on a user and back."""
    async with (
        reachable(database_url) as (service, site),
        visiting(chromium, site, device=device, javascript=javascript) as visitor,
    ):
        anna, boris, clara = await family(service)
        await enter_as_admin(visitor, service)
        assert await visitor.text("#users") == "4"
        assert await visitor.text("#activations") == "2"
        assert await visitor.text("#days-activations") == "2"
        assert await visitor.text("#k-factor") == "0.50"
        chart = visitor.page.locator("img.chart")
        assert await chart.evaluate("(it) => it.complete && it.naturalWidth > 0")
        assert digits(anna.phone) in digits(await visitor.text("#top-inviters"))

        await visitor.submit("nav a[href='/admin/users']")
        await visitor.page.fill("input[name=search]", "ann")
        await visitor.submit("form[role=search] button")
        assert await visitor.page.locator("#users tbody tr").count() == 1
        await visitor.submit("#users a")
        assert digits(anna.phone) in digits(await visitor.text("h1"))
        tree = visitor.page.locator(".tree")
        assert digits(boris.phone) in digits(await tree.inner_text())
        assert not await tree.get_by_text("Clara").is_visible()
        await tree.locator("summary").click()
        assert await tree.get_by_text("Clara").is_visible()
        await visitor.submit(f".tree a[href='/admin/users/{clara.id()}']")
        assert digits(boris.phone) in digits(await visitor.text("#inviter"))

        await open_and_press(visitor, "block")
        assert await visitor.page.get_by_text("blocked", exact=True).first.is_visible()
        assert (await clara.call("GET", "/profile")).status_code in {401, 403}
        await visitor.submit("#unblock")
        await open_and_press(visitor, "make-admin")
        assert await visitor.page.get_by_text("administrator", exact=True).first.is_visible()
        await open_and_press(visitor, "take-admin")
        await open_and_press(visitor, "void")
        assert "nobody" in await visitor.text("#inviter")
        await open_and_press(visitor, "delete")
        assert visitor.path() == "/admin/users"
        assert await notice(visitor)
        assert digits(clara.phone) not in digits(await visitor.text("#users"))

        await visitor.submit("nav a[href='/admin/audit']")
        assert await visitor.page.locator(".trail li").count() > 8
        await visitor.submit("nav a[href='/me']")
        assert visitor.path() == "/me"


async def test_a_key_is_shown_once_works_and_is_revoked(scene: Scene) -> None:
    visitor, service = scene.visitor, scene.service
    await enter_as_admin(visitor, service)
    await visitor.submit("nav a[href='/admin/keys']")
    await visitor.page.fill("input[name=name]", "the shop")
    await visitor.submit("form[action='/admin/keys'] button")
    key = (await visitor.text("#new-key")).strip()
    headers = {"Authorization": f"Bearer {key}"}
    assert (await service.http.get("/api/v1/users", headers=headers)).status_code == 200
    await visitor.page.reload()
    assert key not in await visitor.page.content()
    await visitor.page.fill("input[name=name]", "the shop")
    await visitor.submit("form[action='/admin/keys'] button")
    assert await visitor.text("#name-error")
    await visitor.page.click("#keys summary")
    await visitor.submit("#keys form button")
    assert (await service.http.get("/api/v1/users", headers=headers)).status_code == 401
    assert not await visitor.page.locator("#keys").count()


async def test_the_last_administrator_stays_one(scene: Scene) -> None:
    """By the pages; the reason stands at the button."""
    visitor, service = scene.visitor, scene.service
    phone = await enter_as_admin(visitor, service)
    await visitor.go(f"/admin/users?search={phone[1:]}")
    await visitor.submit("#users a")
    for action in ("take-admin", "block", "delete"):
        button = visitor.page.locator(f"#{action}")
        if not await button.is_visible():
            await visitor.page.click(f"details:has(#{action}) summary")
        await visitor.submit(f"#{action}")
        assert await visitor.text(f"#{action}-error")
        assert await button.is_visible()
        assert await button.get_attribute("aria-describedby") == f"{action}-error"


async def test_days_that_cannot_be(scene: Scene) -> None:
    visitor = scene.visitor
    await enter_as_admin(visitor, scene.service)
    await visitor.page.fill("input[name=from]", "2026-03-02")
    await visitor.page.fill("input[name=to]", "2026-03-01")
    await visitor.submit("form[action='/admin'] button")
    assert await visitor.page.locator("[aria-invalid=true]").count()
    assert await visitor.page.input_value("input[name=from]") == "2026-03-02"
    await visitor.page.fill("input[name=to]", "2026-03-03")
    await visitor.submit("form[action='/admin'] button")
    assert "from=2026-03-02" in visitor.path()


async def test_nobody_else_gets_in(chromium: Browser, database_url: str) -> None:
    """Neither who is not signed in, who is led to the sign-in and back, nor an ordinary user."""
    async with (
        reachable(database_url) as (service, site),
        visiting(chromium, site, expected=[403]) as visitor,
    ):
        somebody = (await service.sign_in()).id()
        await visitor.go("/admin/audit")
        assert visitor.path() == "/?next=/admin/audit"
        await sign_in(visitor)
        for path in ("", "/users", f"/users/{somebody}", "/keys", "/webhooks", "/audit"):
            answer = await visitor.go(f"/admin{path}")
            assert answer.status == 403
            assert "This page is for administrators alone." in await visitor.text("main")
            assert await visitor.page.locator("main a").count(), "a way on"
        await visitor.go("/me")
        assert not await visitor.page.locator("a[href='/admin']").count()
