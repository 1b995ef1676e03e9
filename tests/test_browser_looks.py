"""Every page, as it looks: for everybody, on every screen, in both languages, and light."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Browser

from browser import DESKTOP, NARROW, Visitor, barriers, visiting
from sites import reachable
from support import Service, new_phone, ok
from walks import ask_for_code, change, enter, shown_code, sign_in, use_invite_code, wrong

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

LARGEST = 50_000  # bytes of a page with all that it loads
STILL = 0.001  # of a page's layout shift (CLS), where 0.1 counts as good
PATHS = (
    *("/me", "/me/invitees", "/me/sessions", "/me/phone", "/me/delete", "/again?next=/me"),
    *("/admin", "/admin/users", "/admin/users/{id}", "/admin/keys", "/admin/webhooks"),
    *("/admin/audit", "/admin/audit?user={id}", "/admin/users?search=nobody"),
)

OWN = r"[a-z.]+@[a-z.]+|https?://\S+|shop \S+|[0-9a-f-]{36}"  # what people wrote, and addresses

# Words that are the same in every language, or somebody's own
SAME = {
    *("Referral", "English", "PNG", "SVG", "QR", "API", "UTC", "URL", "example", "com", "http"),
    *("Chrome", "Linux", "Android", "invite", "code", "referral", "webhooks", "tail", "replay"),
    *("REFERRAL", "WEBHOOK", "python", "httpx", "Русский", "Анна"),
}
_OPEN = "document.querySelectorAll('details').forEach((it) => { it.open = true })"
_WORDS = """() => {
    const texts = [document.title];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const inside = walker.currentNode.parentElement;
        if (!inside.closest("script, style, .code, .phone, #my-link, #new-key, .trail .quiet"))
            texts.push(walker.currentNode.textContent);
    }
    for (const name of ["aria-label", "title", "alt", "placeholder", "data-done", "data-text"])
        document.querySelectorAll(`[${name}]`).forEach((it) => texts.push(it.getAttribute(name)));
    return texts.join("\\n");
}"""


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


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with reachable(database_url) as (service, site):
        admin = await service.sign_in_admin()
        ok(await admin.call("PATCH", "/profile", json={"name": "Анна", "email": "a@b.example.com"}))
        code = await admin.invite_code()
        second = await service.sign_in(invite_code=code)
        await service.sign_in(invite_code=await second.invite_code())
        for _ in range(52):
            await service.sign_in(invite_code=code)
        service.clock.move(seconds=3)
        yield Town(service, site, admin.phone, code, admin.id())


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
    for path in PATHS[:6]:
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
    for path in PATHS[6:]:
        await visitor.go(path.format(id=town.id))
        yield path
    await visitor.go("/admin?from=2026-03-02&to=2026-03-01")
    yield "/admin with an error"
    await visitor.go("/admin/keys")
    await visitor.page.fill("input[name=name]", f"shop {new_phone()}")
    await visitor.submit("form[action='/admin/keys'] button")
    yield "/admin/keys with a new one"


@pytest.mark.parametrize(
    ("device", "colors", "language"),
    [
        pytest.param(NARROW, "dark", "ru-RU", id="narrow dark Russian"),
        pytest.param(DESKTOP, "light", "en-US", id="wide light English"),
    ],
)
async def test_every_page(
    chromium: Browser, town: Town, device: dict[str, Any], colors: str, language: str
) -> None:
    """axe-core finds nothing serious, nothing moves or sticks out, every word is translated."""
    wrong_there: list[str] = []
    async with visiting(
        chromium, town.site, device=device, colors=colors, language=language, expected=[404]
    ) as visitor:
        async for name in tour(town, visitor):
            shifts = await visitor.layout_shifts()
            await visitor.page.evaluate(_OPEN)
            found = await barriers(visitor.page)
            if sum(value for value, _ in shifts) > STILL:
                found.append(f"it moves: {shifts}")
            if await visitor.is_wider_than_the_screen():
                found.append("it scrolls sideways")
            words = re.sub(OWN, " ", await visitor.page.evaluate(_WORDS))
            left = re.findall(r"[A-Za-z]{2,}" if language == "ru-RU" else r"[а-яА-ЯёЁ]{2,}", words)
            if untranslated := set(left) - SAME:
                found.append(f"not translated: {untranslated}")
            wrong_there += [f"{name}: {each}" for each in found]
    assert not wrong_there, "\n".join(wrong_there)


async def test_every_page_is_light(chromium: Browser, town: Town) -> None:
    """It comes in one answer, and with all that it loads it is under 50 KB."""
    async with visiting(chromium, town.site, expected=[404]) as visitor:
        session = await visitor.context.new_cdp_session(visitor.page)
        await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        came: list[str] = []
        visitor.page.on("request", lambda request: came.append(request.url))
        await sign_in(visitor, town.phone)
        for path in PATHS:
            came.clear()
            await visitor.go(path.format(id=town.id))
            pages = [url for url in came if "/static/" not in url and ".svg" not in url]
            assert pages == [visitor.page.url]
            weight = await weigh(visitor, came)
            assert weight < LARGEST, f"{path}: {weight}"
        await visitor.go("/me")
        await visitor.submit("form[action='/sign-out'] button")
        for path in ("/", f"/i/{town.invite_code}", "/i/ZZZZZZ", "/nowhere"):
            came.clear()
            await visitor.go(path)
            weight = await weigh(visitor, came)
            assert weight < LARGEST, f"{path}: {weight}"


async def weigh(visitor: Visitor, urls: list[str]) -> int:
    """The bytes of them all, with nothing kept from before."""
    return sum([len(await (await visitor.context.request.get(url)).body()) for url in urls])
