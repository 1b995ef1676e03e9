"""Accessibility, translation, layout shifts and size of every page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from litestar import Response
from litestar.routes import HTTPRoute
from playwright.async_api import Browser

from browser import DESKTOP, NARROW, BrowserSession, accessibility_violations, new_session
from referral.http.pages import router
from sites import another_origin
from tour import ADMIN_PATHS, OWN_PATHS, Sample, sample_service, tour
from walks import sign_in

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

LARGEST = 50_000  # bytes of a page with all that it loads
MAX_SHIFT = 0.001  # cumulative layout shift; up to 0.1 counts as good
PATHS = (*OWN_PATHS, *ADMIN_PATHS)

# Users' text, ids, the names and units of the tests' rules, and types of webhook events
OWN = r"[a-z.]+@[a-z.]+|https?://\S+|shop \S+|[0-9a-f-]{36}|[A-Za-z]+(-[a-z]+)?-[0-9a-f]{6}\b"
OWN += r"|[a-z]+\.[a-z_]+\b"

# Words that are the same in every language, or users' text
SAME = {
    *("SMS", "Telegram", "WhatsApp"),
    *("Referral", "PNG", "SVG", "QR", "API", "UTC", "URL", "example", "com", "http"),
    *("Chrome", "Linux", "Android", "invite", "code", "referral", "webhooks", "tail", "replay"),
    *("REFERRAL", "WEBHOOK", "python", "httpx", "Анна"),
    *("OpenID", "Connect", "PKCE", "URI", "client", "id", "redirect", "uri", "aud", "https"),
    *("localhost", "app", "done", "command"),
    *("CSV", "activated", "purchase", "first", "points", "days", "RUB", "kopecks"),
}
_OPEN = "document.querySelectorAll('details').forEach((it) => { it.open = true })"
_WORDS = """() => {
    const texts = [document.title];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const inside = walker.currentNode.parentElement;
        if (!inside.closest(
                "script, style, noscript, bdi, code, .code, .phone, #my-link, #new-key,"
                + ".trail .quiet")
             && !inside.closest(".languages"))
            texts.push(walker.currentNode.textContent);
    }
    const said = ["data-busy", "data-done", "data-words"];
    for (const name of ["aria-label", "title", "alt", "placeholder", ...said])
        document.querySelectorAll(`[${name}]`).forEach((it) => texts.push(it.getAttribute(name)));
    return texts.join("\\n");
}"""


@pytest.fixture
async def sample(database_url: str) -> AsyncIterator[Sample]:
    async with sample_service(database_url) as started:
        yield started


@pytest.mark.parametrize(
    ("device", "colors", "language"),
    [
        pytest.param(NARROW, "dark", "ru-RU", id="narrow dark Russian"),
        pytest.param(DESKTOP, "light", "en-US", id="wide light English"),
    ],
)
async def test_every_page_is_accessible_and_translated(
    chromium: Browser, sample: Sample, device: dict[str, Any], colors: str, language: str
) -> None:
    """axe-core finds nothing serious, nothing shifts or overflows, and no word is untranslated."""
    every_fault: list[str] = []
    unseen = {re.sub(r"\{\w+:\w+\}", "[^/]+", path) for path in page_paths()}
    async with new_session(
        chromium, sample.site, device=device, colors=colors, language=language, expected=[400, 404]
    ) as session:
        async for name in tour(sample, session):
            shifts = await session.layout_shifts()
            await session.page.evaluate(_OPEN)
            found = await accessibility_violations(session.page)
            if sum(value for value, _ in shifts) > MAX_SHIFT:
                found.append(f"it moves: {shifts}")
            if await session.scrolls_sideways():
                found.append("it scrolls sideways")
            words = re.sub(OWN, " ", await session.page.evaluate(_WORDS))
            left = re.findall(r"[A-Za-z]{2,}" if language == "ru-RU" else r"[а-яА-ЯёЁ]{2,}", words)
            if untranslated := set(left) - SAME:
                found.append(f"not translated: {untranslated}")
            every_fault += [f"{name}: {each}" for each in found]
            path = re.split(r"[? ]", name)[0]
            unseen = {each for each in unseen if not re.fullmatch(each, path)}
    assert not unseen, f"add to tests/helpers/tour.py: {unseen}"
    assert not every_fault, "\n".join(every_fault)


def page_paths() -> Iterator[str]:
    """Return the paths of every page, as they are registered."""
    for route in router.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            answer = handler.parsed_fn_signature.return_type
            is_html = answer.origin is Response and answer.args[0] is not bytes
            if "GET" in handler.http_methods and is_html:
                yield route.path


async def test_nothing_moves_while_a_page_arrives(chromium: Browser, sample: Sample) -> None:
    """No part of a page is shown at a place that it leaves when the next part arrives."""
    async with new_session(chromium, sample.site) as session:
        await sign_in(session, sample.phone)
        html = await (await session.go("/me/account?change=name")).text()
    html = re.sub("<script .*?</script>", "", html)
    async with (
        another_origin(*re.split("(?<=</a>)", html)) as port,
        new_session(chromium, f"http://127.0.0.1:{port}", device=DESKTOP) as session,
    ):
        await session.go("/")
        shifts = await session.layout_shifts()
    assert sum(value for value, _ in shifts) <= MAX_SHIFT, shifts


async def test_every_page_is_small(chromium: Browser, sample: Sample) -> None:
    """It is one response, and under 50 KB together with all assets."""
    async with new_session(chromium, sample.site, expected=[404]) as session:
        devtools = await session.context.new_cdp_session(session.page)
        await devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
        came: list[str] = []
        main = session.page.main_frame
        # /admin/look frames other pages, which are in the tour themselves
        session.page.on(
            "request", lambda request: came.append(request.url) if request.frame == main else None
        )
        await sign_in(session, sample.phone)
        for path in PATHS:
            came.clear()
            await session.go(path.format(id=sample.id, rule=sample.rule, event=sample.event))
            pages = [url for url in came if "/static/" not in url and ".svg" not in url]
            assert pages == [session.page.url]
            weight = await weigh(session, came)
            assert weight < LARGEST, f"{path}: {weight}"
        await session.go("/me")
        await session.submit("form[action='/sign-out'] button")
        for path in ("/", f"/i/{sample.invite_code}", "/i/ZZZZZZ", "/nowhere"):
            came.clear()
            await session.go(path)
            weight = await weigh(session, came)
            assert weight < LARGEST, f"{path}: {weight}"


async def weigh(session: BrowserSession, urls: list[str]) -> int:
    """Return the total size of these responses in bytes, without a cache."""
    return sum([len(await (await session.context.request.get(url)).body()) for url in urls])


async def test_forced_colors_mark_one_tab(chromium: Browser, sample: Sample) -> None:
    """In Windows' contrast themes, for example, transparent borders become visible."""
    async with new_session(chromium, sample.site, device=DESKTOP) as session:
        await session.page.emulate_media(forced_colors="active")
        await sign_in(session, sample.phone)
        for path in ("/me", "/admin", "/admin/users"):
            await session.go(path)
            marked = await session.page.evaluate(
                "[...document.querySelectorAll('.nav a, .nav button')]"
                ".filter((it) => parseFloat(getComputedStyle(it).borderBottomWidth) > 0)"
                ".map((it) => it.getAttribute('href'))"
            )
            assert marked == [path]
