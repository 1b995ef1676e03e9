"""A service with sample data, and a tour that opens every page of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from browser import BrowserSession
from referral.import_export import demo
from sites import reachable
from support import Person, Service, new_phone, ok, wrong_code
from walks import ask_for_code, change, enter, shown_code, use_invite_code

OWN_PATHS = (
    *("/me", "/me/invitees", "/me/sessions", "/me/phone", "/me/delete", "/again?next=/me"),
)
ADMIN_PATHS = (
    *("/admin", "/admin/users", "/admin/users/{id}", "/admin/keys", "/admin/webhooks"),
    *("/admin/audit", "/admin/audit?user={id}", "/admin/users?search=nobody"),
)
_INVITEES = 54  # of the administrator: more than one page of a list


@dataclass
class Sample:
    """A service with users, invitations, an audit trail and an administrator.

    phone, invite_code, id: of the administrator, who invited most of the users.
    """

    service: Service
    site: str
    phone: str
    invite_code: str
    id: str


@asynccontextmanager
async def sample_service(
    database_url: str, *, name: str = "Анна", **variables: str
) -> AsyncIterator[Sample]:
    """Run a service whose users have the demo's unusual names. name: the administrator's."""
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
        for number in range(_INVITEES - 1):
            await _join(service, code, demo.UNUSUAL_NAMES[number % len(demo.UNUSUAL_NAMES)])
        service.clock.move(seconds=3)
        yield Sample(service, site, admin.phone, code, admin.id())


async def _join(service: Service, invite_code: str, name: str) -> Person:
    person = await service.sign_in(invite_code=invite_code)
    ok(await person.call("PATCH", "/profile", json={"name": name}))
    return person


async def tour(sample: Sample, session: BrowserSession) -> AsyncIterator[str]:
    """Open every page, and every form with an error; yield the name of each."""
    for path in ("/", f"/i/{sample.invite_code}", "/i/ZZZZZZ", "/nowhere", "/again"):
        await session.go(path)
        yield path
    await session.go("/")
    await ask_for_code(session, "12")
    yield "/ with an error"
    await ask_for_code(session, sample.phone)
    yield "/code"
    code = await shown_code(session)
    await enter(session, wrong_code(code))
    yield "/code with an error"
    await session.submit("#again")
    yield "/code with a notice"
    await enter(session, await shown_code(session))
    for path in OWN_PATHS:
        assert (await session.go(path)).ok, _unregistered(path)
        yield path
    await session.go("/me/invitees")
    await session.submit("a[rel=next]")
    yield "/me/invitees, further on"
    await session.go("/me")
    await use_invite_code(session, "ZZZZZZ")
    yield "/me with a wrong invite code"
    await change(session, "email", "a@b")
    yield "/me with a wrong email"
    await session.go("/me/phone")
    await ask_for_code(session, "12")
    yield "/me/phone with an error"
    await ask_for_code(session, new_phone())
    yield "/me/phone/code"
    for path in ADMIN_PATHS:
        assert (await session.go(path.format(id=sample.id))).ok, _unregistered(path)
        yield path
    await session.go("/admin?from=2026-03-02&to=2026-03-01")
    yield "/admin with an error"
    for name in (f"shop {new_phone()}", *demo.UNUSUAL_NAMES[:2]):
        await session.go("/admin/keys")
        await session.page.fill("input[name=name]", name)
        await session.submit("form[action='/admin/keys'] button")
        yield "/admin/keys with a new one"
    sample.service.clock.move(minutes=16)
    await session.page.fill("input[name=name]", f"shop {new_phone()}")
    await session.submit("form[action='/admin/keys'] button")
    yield "/again"
    await session.submit("form[action^='/again?'] button")
    sample.service.clock.move(minutes=3)
    await session.page.reload()
    yield "/code, too late"
    await session.submit("#again")
    await enter(session, await shown_code(session))
    yield "/admin/keys with what was typed before the code"


def _unregistered(path: str) -> str:
    return f"{path} is no page: register its handler in http/pages/__init__.py"
