"""Every page, as it looks: for everybody, on every screen, in both languages, and light."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser

from browser import DESKTOP, NARROW, Visitor, barriers, visiting
from tour import ADMIN_PATHS, OWN_PATHS, Town, built, tour
from walks import sign_in

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

LARGEST = 50_000  # bytes of a page with all that it loads
STILL = 0.001  # of a page's layout shift (CLS), where 0.1 counts as good
PATHS = (*OWN_PATHS, *ADMIN_PATHS)

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
        if (!inside.closest("script, style, bdi, .code, .phone, #my-link, #new-key, .trail .quiet"))
            texts.push(walker.currentNode.textContent);
    }
    for (const name of ["aria-label", "title", "alt", "placeholder", "data-done", "data-words"])
        document.querySelectorAll(`[${name}]`).forEach((it) => texts.push(it.getAttribute(name)));
    return texts.join("\\n");
}"""


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with built(database_url) as there:
        yield there


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


async def test_forced_colors_mark_one_tab(chromium: Browser, town: Town) -> None:
    """Such as of Windows' contrast themes, in which a transparent border is drawn too."""
    async with visiting(chromium, town.site, device=DESKTOP) as visitor:
        await visitor.page.emulate_media(forced_colors="active")
        await sign_in(visitor, town.phone)
        for path in ("/me", "/admin", "/admin/users"):
            await visitor.go(path)
            marked = await visitor.page.evaluate(
                "[...document.querySelectorAll('.nav a, .nav button')]"
                ".filter((it) => parseFloat(getComputedStyle(it).borderBottomWidth) > 0)"
                ".map((it) => it.getAttribute('href'))"
            )
            assert marked == [path]
