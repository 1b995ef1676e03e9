"""A real Chromium, and browser sessions in it.

`python tests/helpers/browser.py` prints the path of the Chromium that the tests would start, or
fails if there is none.
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

# A common phone, the narrowest screen that the pages support, and a computer
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
NARROW: dict[str, Any] = {**PHONE, "viewport": {"width": 320, "height": 568}}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}

# The layout shifts of a page so far (https://web.dev/articles/cls), except those after an input
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
    """Run a browser until the block ends."""
    async with async_playwright() as playwright:
        executable = await asyncio.to_thread(find_chromium, playwright.chromium.executable_path)
        if executable is None:
            raise AssertionError(MISSING)
        # Its sandbox does not work for root, and /dev/shm is small in containers
        arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = await playwright.chromium.launch(executable_path=executable, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


def find_chromium(playwrights_own: str) -> str | None:
    """Return the first Chromium that starts: Playwright's own, otherwise one of the PATH."""
    candidates = [playwrights_own, *(shutil.which(name) for name in NAMES)]
    return next((each for each in candidates if each is not None and _starts(each)), None)


def _starts(executable: str) -> bool:
    # Ubuntu's `chromium-browser` may be a script that only explains how to install one
    try:
        version = subprocess.run([executable, "--version"], capture_output=True, check=False)
    except OSError:
        return False
    return version.returncode == 0


@dataclass
class BrowserSession:
    """A tab with its own cookies.

    site: the origin of the service, such as http://127.0.0.1:8000. javascript: whether scripts
    run. complaints: errors that the browser has reported so far.
    """

    page: Page
    site: str
    javascript: bool = True
    complaints: list[str] = field(default_factory=list)

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    async def go(self, path: str) -> Response:
        """Open a path of the service, or any URL."""
        response = await self.page.goto(path if "://" in path else f"{self.site}{path}")
        assert response is not None
        return response

    def path(self) -> str:
        """Return the path and query of the page."""
        url = urlsplit(self.page.url)
        return url.path + (f"?{url.query}" if url.query else "")

    async def submit(self, selector: str) -> None:
        """Click a button or link, and wait for the next page."""
        async with self.page.expect_navigation():
            await self.page.locator(selector).click()

    async def text(self, selector: str = "body") -> str:
        """Return the visible text of an element."""
        return await self.page.locator(selector).inner_text()

    async def layout_shifts(self) -> list[tuple[float, str]]:
        """Return the layout shifts while the page loaded (CLS) and what moved. Needs JavaScript."""
        return [(value, moved) for value, moved in await self.page.evaluate(_SHIFTS)]

    async def scrolls_sideways(self) -> bool:
        scrolls: bool = await self.page.evaluate(
            "document.scrollingElement.scrollWidth > window.innerWidth"
        )
        return scrolls


@asynccontextmanager
async def new_session(  # noqa: PLR0913 - the options of a session
    browser: Browser,
    site: str,
    *,
    device: dict[str, Any] = PHONE,
    javascript: bool = True,
    language: str = "en-US",
    colors: str = "light",
    expected: Collection[int] = (),
    any_certificate: bool = False,
    origins: Collection[str] = (),
) -> AsyncIterator[BrowserSession]:
    """Open a new session, and fail at the end of the block if the browser complained.

    language: of the Accept-Language header. colors: `light` or `dark`. expected: statuses of
    errors that are no complaint. any_certificate: whether to accept untrusted ones. origins: other
    ones that the pages may call, such as an app's.
    """
    options: dict[str, Any] = {**device, "locale": language, "color_scheme": colors}
    context = await browser.new_context(
        **options, java_script_enabled=javascript, ignore_https_errors=any_certificate
    )
    context.set_default_timeout(10_000)
    try:
        session = BrowserSession(await context.new_page(), site, javascript)
        _listen(session, expected, [site, *origins])
        yield session
    finally:
        await context.close()
    assert not session.complaints, "\n".join(session.complaints)


def _listen(session: BrowserSession, expected: Collection[int], origins: Collection[str]) -> None:
    """Note failed requests, error responses, and requests to another origin; and errors and
    warnings on the console, which include what the CSP blocked.
    """
    note, page = session.complaints.append, session.page
    known = [f"{origin}/" for origin in origins]
    statuses = tuple(f"status of {status} " for status in expected)

    def on_request(request: Request) -> None:
        if not request.url.startswith((*known, "data:", "blob:")):
            note(f"another origin: {request.url}")

    def on_failure(request: Request) -> None:
        # Leaving a page and downloading a file both abort a navigation
        if request.failure != "net::ERR_ABORTED":
            note(f"failed: {request.url}: {request.failure}")

    def on_response(response: Response) -> None:
        if response.status >= 400 and response.status not in expected:
            note(f"status {response.status}: {response.url}")

    page.on("request", on_request)
    page.on("requestfailed", on_failure)
    page.on("response", on_response)
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


async def accessibility_violations(page: Page) -> list[str]:
    """Return the violations of axe-core's serious and critical rules, with element and message.

    The script is injected through the debugger, to which the page's CSP does not apply. Needs
    JavaScript.
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
        executable = find_chromium(playwright.chromium.executable_path)
    sys.exit(MISSING) if executable is None else print(executable)  # noqa: T201 - what it is for


if __name__ == "__main__":
    try:
        asyncio.run(_print_which())
    except Error as error:
        sys.exit(str(error))
