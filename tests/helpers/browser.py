"""A real Chromium, and people in front of it.

`python tests/helpers/browser.py` prints which one the tests would start, or says that there is
none.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    Request,
    Response,
    async_playwright,
)

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
AXE = Path(__file__).parent.parent / "browser" / "node_modules" / "axe-core" / "axe.min.js"
MISSING = "the tests of the pages need Chromium: run `make browser`"

# A telephone as most are, the narrowest screen that is promised, and a computer
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
NARROW: dict[str, Any] = {**PHONE, "viewport": {"width": 320, "height": 568}}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}

# The layout shifts of a page so far (https://web.dev/articles/cls), but for those after an input
_SHIFTS = """() => new Promise((resolve) => {
    const found = [];
    const add = (entries) => entries.filter((entry) => !entry.hadRecentInput).forEach((entry) => {
        const moved = entry.sources.map(({node}) => node?.outerHTML ?? node?.textContent ?? "");
        found.push([entry.value, moved.map((html) => html.slice(0, 80)).join(", ")]);
    });
    const observer = new PerformanceObserver((list) => add(list.getEntries()));
    observer.observe({type: "layout-shift", buffered: true});
    setTimeout(() => { add(observer.takeRecords()); resolve(found); }, 100);
})"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser of this process, until the block ends."""
    async with async_playwright() as playwright:
        executable = await asyncio.to_thread(found, playwright.chromium.executable_path)
        if executable is None:
            raise AssertionError(MISSING)
        # Its sandbox works for ordinary users alone, and /dev/shm is small in containers
        arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = await playwright.chromium.launch(executable_path=executable, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


def found(playwrights_own: str) -> str | None:
    """The first Chromium that starts: this one, which the lock names, else of the PATH."""
    candidates = [playwrights_own, *(shutil.which(name) for name in NAMES)]
    return next((each for each in candidates if each is not None and _starts(each)), None)


def _starts(executable: str) -> bool:
    """Does it? Ubuntu's `chromium-browser` may only say where to get one."""
    try:
        version = subprocess.run([executable, "--version"], capture_output=True, check=False)
    except OSError:
        return False
    return version.returncode == 0


@dataclass
class Visitor:
    """Somebody with a browser and cookies of their own, who is at one page.

    site: where the service is, as http://127.0.0.1:8000. javascript: whether scripts run.
    complaints: what the browser had to say against the pages so far.
    """

    page: Page
    site: str
    javascript: bool = True
    complaints: list[str] = field(default_factory=list)

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    async def go(self, path: str) -> Response:
        """To a page of the service, or of somebody else."""
        response = await self.page.goto(path if "://" in path else f"{self.site}{path}")
        assert response is not None
        return response

    def path(self) -> str:
        """Where one is: the path with its query."""
        ctx = urlsplit(self.page.url)
        return ctx.path + (f"?{ctx.query}" if ctx.query else "")

    async def submit(self, selector: str) -> None:
        """Press a button that leads to another page, or to this one anew."""
        async with self.page.expect_navigation():
            await self.page.locator(selector).click()

    async def text(self, selector: str = "body") -> str:
        """What one can read there."""
        return await self.page.locator(selector).inner_text()

    async def layout_shifts(self) -> list[tuple[float, str]]:
        """How far things moved while the page came (CLS), and what; needs JavaScript."""
        return [(value, moved) for value, moved in await self.page.evaluate(_SHIFTS)]

    async def is_wider_than_the_screen(self) -> bool:
        """Does the page scroll sideways?"""
        wider: bool = await self.page.evaluate(
            "document.scrollingElement.scrollWidth > window.innerWidth"
        )
        return wider


@asynccontextmanager
async def visiting(
    browser: Browser,
    site: str,
    *,
    device: dict[str, Any] = PHONE,
    javascript: bool = True,
    language: str = "en-US",
    colors: str = "light",
    expected: Collection[int] = (),
    trusting: bool = False,
) -> AsyncIterator[Visitor]:
    """A new visitor, until the block ends; it fails then if the browser complained.

    language: what the browser asks for. colors: `light` or `dark`. expected: the statuses of
    errors that are no reason to complain. trusting: any certificate.
    """
    options: dict[str, Any] = {**device, "locale": language, "color_scheme": colors}
    context = await browser.new_context(
        **options, java_script_enabled=javascript, ignore_https_errors=trusting
    )
    context.set_default_timeout(10_000)
    try:
        visitor = Visitor(await context.new_page(), site, javascript)
        _listen(visitor, expected)
        yield visitor
    finally:
        await context.close()
    assert not visitor.complaints, "\n".join(visitor.complaints)


def _listen(visitor: Visitor, expected: Collection[int]) -> None:
    """Note what is wrong: failed requests, errors answered, requests to another origin.

    And errors and warnings of the console, where the browser says what the CSP refused.
    """
    note, page = visitor.complaints.append, visitor.page
    statuses = tuple(f"status of {status} " for status in expected)

    def asked(request: Request) -> None:
        if not request.url.startswith((f"{visitor.site}/", "data:", "blob:")):
            note(f"asked somebody else: {request.url}")

    def failed(request: Request) -> None:
        # A page that is left, or whose answer is a file to keep, is given up
        if request.failure != "net::ERR_ABORTED":
            note(f"failed: {request.url}: {request.failure}")

    def answered(response: Response) -> None:
        if response.status >= 400 and response.status not in expected:
            note(f"answered {response.status}: {response.url}")

    page.on("request", asked)
    page.on("requestfailed", failed)
    page.on("response", answered)
    page.on("pageerror", lambda error: note(f"script: {error}"))
    page.on(
        "console",
        lambda message: (
            note(f"console: {message.text} ({message.location['url']})")
            if message.type in ("error", "warning")
            and not any(status in message.text for status in statuses)
            else None
        ),
    )


@cache
def _axe() -> str:
    assert AXE.exists(), "run `make tests/browser/node_modules/.done` first"
    return AXE.read_text()


async def barriers(page: Page) -> list[str]:
    """What axe-core finds on this page that keeps people out: its serious and critical rules.

    Each with where it is and what it says. The script comes through the debugger, which the
    page's own policy does not bind; it needs a browser with JavaScript.
    """
    await page.evaluate(_axe())
    async with asyncio.timeout(30):
        result = await page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{violation['id']} ({violation['impact']}): {node['html']}: {node['failureSummary']}"
        for violation in result["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


async def _print_which() -> None:
    async with async_playwright() as playwright:
        executable = found(playwright.chromium.executable_path)
    sys.exit(MISSING) if executable is None else print(executable)  # noqa: T201 - what it is for


if __name__ == "__main__":
    try:
        asyncio.run(_print_which())
    except Error as error:
        sys.exit(str(error))
