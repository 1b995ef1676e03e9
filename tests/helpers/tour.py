"""A town of people, and a way through it that passes every page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from browser import Visitor
from referral.import_export import demo
from sites import reachable
from support import Person, Service, new_phone, ok
from walks import ask_for_code, change, enter, shown_code, use_invite_code, wrong

OWN_PATHS = (
    *("/me", "/me/invitees", "/me/sessions", "/me/phone", "/me/delete", "/again?next=/me"),
)
ADMIN_PATHS = (
    *("/admin", "/admin/users", "/admin/users/{id}", "/admin/keys", "/admin/webhooks"),
    *("/admin/audit", "/admin/audit?user={id}", "/admin/users?search=nobody"),
)
_A_PAGE_AND_MORE = 54  # people whom the administrator invited


@dataclass
class Town:
    """A service with people, invitations, an administrator and their doings.

    phone, invite_code, id: of the administrator, who invited most of the others.
    """

    service: Service
    site: str
    phone: str
    invite_code: str
    id: str


@asynccontextmanager
async def built(database_url: str, *, name: str = "Анна", **variables: str) -> AsyncIterator[Town]:
    """A town whose people have the demo's unusual names. name: the administrator's."""
    async with reachable(database_url, inbox=None, **variables) as (service, site):
        admin = await service.sign_in_admin()
        ok(await admin.call("PATCH", "/profile", json={"name": name, "email": "a@b.example.com"}))
        code = await admin.invite_code()
        second = await _join(service, code, demo.UNUSUAL_NAMES[0])
        ok(await admin.call("PATCH", f"/users/{second.id()}", json={"is_blocked": True}))
        ok(await admin.call("PATCH", f"/users/{second.id()}", json={"is_blocked": False}))
        second = await service.sign_in_again(second)
        for each in demo.UNUSUAL_NAMES:
            await _join(service, await second.invite_code(), each)
        for number in range(_A_PAGE_AND_MORE - 1):
            await _join(service, code, demo.UNUSUAL_NAMES[number % len(demo.UNUSUAL_NAMES)])
        service.clock.move(seconds=3)
        yield Town(service, site, admin.phone, code, admin.id())


async def _join(service: Service, invite_code: str, name: str) -> Person:
    person = await service.sign_in(invite_code=invite_code)
    ok(await person.call("PATCH", "/profile", json={"name": name}))
    return person


async def tour(town: Town, visitor: Visitor) -> AsyncIterator[str]:
    """Brings somebody to every page, and to every form with something wrong in it."""
    for path in ("/", f"/i/{town.invite_code}", "/i/ZZZZZZ", "/nowhere", "/again"):
        await visitor.go(path)
        yield path
    await visitor.go("/")
    await ask_for_code(visitor, "12")
    yield "/ with an error"
    await ask_for_code(visitor, town.phone)
    yield "/code"
    code = await shown_code(visitor)
    await enter(visitor, wrong(code))
    yield "/code with an error"
    await visitor.submit("#again")
    yield "/code with a notice"
    await enter(visitor, await shown_code(visitor))
    for path in OWN_PATHS:
        await visitor.go(path)
        yield path
    await visitor.go("/me/invitees")
    await visitor.submit("a[rel=next]")
    yield "/me/invitees, further on"
    await visitor.go("/me")
    await use_invite_code(visitor, "ZZZZZZ")
    yield "/me with a wrong invite code"
    await change(visitor, "email", "a@b")
    yield "/me with a wrong email"
    await visitor.go("/me/phone")
    await ask_for_code(visitor, "12")
    yield "/me/phone with an error"
    await ask_for_code(visitor, new_phone())
    yield "/me/phone/code"
    for path in ADMIN_PATHS:
        await visitor.go(path.format(id=town.id))
        yield path
    await visitor.go("/admin?from=2026-03-02&to=2026-03-01")
    yield "/admin with an error"
    for name in (f"shop {new_phone()}", *demo.UNUSUAL_NAMES[:2]):
        await visitor.go("/admin/keys")
        await visitor.page.fill("input[name=name]", name)
        await visitor.submit("form[action='/admin/keys'] button")
        yield "/admin/keys with a new one"
    town.service.clock.move(minutes=16)
    await visitor.page.fill("input[name=name]", f"shop {new_phone()}")
    await visitor.submit("form[action='/admin/keys'] button")
    yield "/again"
    await visitor.submit("form[action^='/again?'] button")
    town.service.clock.move(minutes=3)
    await visitor.page.reload()
    yield "/code, too late"
    await visitor.submit("#again")
    await enter(visitor, await shown_code(visitor))
    yield "/admin/keys with what was typed before the code"
