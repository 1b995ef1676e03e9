"""Layout of every page at every width: nothing overlaps, overflows or is cut off."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser

import catalogues
from browser import BrowserSession, new_session
from referral.http.pages import app_router, router
from referral.i18n import team
from referral.import_export import demo
from sites import reachable
from tour import CHANNELS, Sample, sample_service, short_tour, tour

# The layout does not depend on the database
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

WIDTHS = (320, 390, 640, 1024)  # CSS pixels; at 640 and 768 the style sheet changes
LONGEST = demo.UNUSUAL_NAMES[-1]
SETTINGS = {
    "REFERRAL_APP_NAME": "Клуб любителей кофе и какао",
    "REFERRAL_INVITE_URL": "https://club-of-those-who-love-coffee.example.com/invitations/{code}",
    "REFERRAL_TERMS_URL": "https://coffee.example/terms",
    "REFERRAL_PRIVACY_URL": "https://coffee.example/privacy",
    "REFERRAL_OFFER": "Вам 1000 баллов, и ещё 500 тому, кто вас пригласил, после первой покупки",
}
# Routes that respond with files
FILES = {
    "/admin/rewards.csv",
    "/admin/users.csv",
    "/admin/rewards/figures.csv",
    "/static/{name}",
    "/me/data.json",
    "/me/invite.svg",
    "/me/invite.png",
}

FAULTS = """() => {
    const EDGE = 1.5;
    const found = new Set(), boxes = [], range = document.createRange();
    const screen = document.documentElement.clientWidth;
    const say = (node) => `"${(node.textContent || node.id || node.tagName).trim().slice(0, 60)}"`;
    const isOffOnPurpose = (it) => it.closest(".skip, .row label");
    const isBox = (it) => !["inline", "contents"].includes(getComputedStyle(it).display);
    const add = (node, holder, rect) => boxes.push({ node, holder, rect });

    document.querySelectorAll("details").forEach((it) => { it.open = true; });
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode, holder = node.parentElement;
        if (!node.textContent.trim()) continue;
        if (!holder.checkVisibility({ visibilityProperty: true })) continue;
        if (isOffOnPurpose(holder)) continue;
        const isolated = holder.closest("bdi, [dir]:not(html), [dir=rtl]");
        if (/[\\u0590-\\u08FF]/.test(node.textContent) && !isolated)
            found.add(`${say(node)} can reorder the text beside it`);
        range.selectNodeContents(node);
        for (const rect of range.getClientRects()) if (rect.width > 1) add(node, holder, rect);
    }
    const graphics = "main input:not([type=hidden]), img, svg:not(.chart, .chart svg)";
    document.querySelectorAll(graphics).forEach((it) => {
        if (it.checkVisibility()) add(it, it.parentElement, it.getBoundingClientRect());
    });

    for (const { node, holder, rect } of boxes) {
        if (rect.left < -EDGE || rect.right > screen + EDGE)
            found.add(`${say(node)} sticks out of the screen`);
        for (let it = holder; it !== document.body; it = it.parentElement) {
            if (!isBox(it)) continue;
            const box = it.getBoundingClientRect();
            if (rect.left < box.left - EDGE || rect.right > box.right + EDGE)
                found.add(`${say(node)} sticks out of its ${it.tagName} at the side`);
            if (rect.bottom > box.bottom + rect.height / 3 || rect.top < box.top - rect.height / 3)
                found.add(`${say(node)} sticks out of its ${it.tagName} above or below`);
            const style = getComputedStyle(it);
            if (style.overflowX !== "visible" && it.scrollWidth > it.clientWidth + EDGE)
                found.add(`${say(node)} is cut by its ${it.tagName}`);
        }
    }
    boxes.forEach(({ node, rect: a }, index) => {
        for (const { node: other, rect: b } of boxes.slice(index + 1)) {
            if (node === other) continue;
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (wide > EDGE && high > Math.min(a.height, b.height) / 3)
                found.add(`${say(node)} and ${say(other)} overlap`);
        }
    });
    if (document.scrollingElement.scrollWidth > innerWidth) found.add("it scrolls sideways");
    return [...found];
}"""


@pytest.fixture
async def sample(database_url: str) -> AsyncIterator[Sample]:
    languages = catalogues.all_languages()
    async with sample_service(database_url, languages, name=LONGEST, **SETTINGS) as started:
        yield started


# One of the longest, and the one from right to left
@pytest.mark.parametrize("language", ["ru-RU", "ar-EG"])
async def test_nothing_overlaps_or_is_cut_off(
    chromium: Browser, sample: Sample, language: str
) -> None:
    """At every width. The tour must include every page."""
    every_fault: list[str] = []
    seen: set[str] = set()
    device = {"viewport": {"width": WIDTHS[0], "height": 800}}
    async with new_session(
        chromium, sample.site, device=device, language=language, expected=[400, 404]
    ) as session:
        async for name in tour(sample, session):
            seen |= routes_of(session)
            for width in WIDTHS:
                await session.page.set_viewport_size({"width": width, "height": 800})
                faults = await session.page.evaluate(FAULTS)
                every_fault += [f"{name} at {width} px: {fault}" for fault in faults]
    assert not every_fault, "\n".join(every_fault)
    assert set(PAGES) - seen == set(), "pages that the tour leaves out"


@pytest.mark.parametrize("tag", sorted({*catalogues.present()} - {"ru", "ar"}))
async def test_pages_that_most_people_meet(chromium: Browser, database_url: str, tag: str) -> None:
    """In every other language nothing overlaps or is cut off, and no text is left in English."""
    languages = catalogues.all_languages()
    english = {
        source.msgid
        for source in team.source_texts()
        if " " in source.msgid and languages[tag].gettext(source.msgid) != source.msgid
    }
    device = {"viewport": {"width": WIDTHS[0], "height": 800}}
    every_fault: list[str] = []
    async with (
        reachable(database_url, languages, inbox=None, **SETTINGS, **CHANNELS) as (service, site),
        new_session(chromium, site, device=device, language=tag, expected=[400, 404]) as session,
    ):
        async for name in short_tour(service, session):
            assert await session.page.locator("html").get_attribute("lang") == tag
            texts = (await session.text("body")).split("\n")
            every_fault += [f"{name}: left in English: {each}" for each in english & {*texts}]
            for width in (WIDTHS[0], WIDTHS[-1]):
                await session.page.set_viewport_size({"width": width, "height": 800})
                faults = await session.page.evaluate(FAULTS)
                every_fault += [f"{name} at {width} px: {fault}" for fault in faults]
    assert not every_fault, "\n".join(every_fault)


async def test_layout_faults_are_detected(chromium: Browser, sample: Sample) -> None:
    """Each kind of fault is found on a page that has it."""
    broken = {
        "overlap": "<p>One text</p><p id=a>Another</p>",
        "of the screen": "<p><b id=b>Far to the right</b></p>",
        "at the side": "<p id=c>UnbreakableUnbreakable</p>",
        "above or below": "<p id=d>Two<br>lines</p>",
        "is cut by": "<p id=e>A longer text</p>",
        "can reorder": "<p>\u05e0\u05d5\u05e2\u05d4 2026</p>",
    }
    async with new_session(chromium, sample.site) as session:
        await session.go("/")
        for fault, html in broken.items():
            await session.page.evaluate(
                "(html) => { document.querySelector('main').innerHTML = html }", html
            )
            await session.page.evaluate(_BREAK)
            found = await session.page.evaluate(FAULTS)
            assert any(fault in each for each in found), f"{fault}: {found}"


_BREAK = """() => {
    const styles = {
        a: "margin-top: -1.4em",
        b: "position: relative; left: 90vw",
        c: "width: 3em; overflow-wrap: normal",
        d: "height: 1em",
        e: "width: 3em; overflow: hidden; white-space: nowrap",
    };
    for (const [id, style] of Object.entries(styles))
        { const it = document.getElementById(id); if (it) it.style.cssText = style; }
}"""


def _pattern(path: str) -> str:
    return re.sub(r"\\\{\w+(:\w+)?\\\}", "[^/]+", re.escape(path))


PAGES = {
    path: re.compile(_pattern(path))
    for path in (
        re.sub(r":\w+\}", "}", route.path)
        for route in (*router.routes, *app_router.routes)
        if "GET" in getattr(route, "methods", ())
    )
    if path not in FILES
}


def routes_of(session: BrowserSession) -> set[str]:
    """Return the routes that match the path of the page."""
    path = urlsplit(session.page.url).path
    return {route for route, pattern in PAGES.items() if pattern.fullmatch(path)}
