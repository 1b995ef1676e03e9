"""The browser that the tests use, and what its helpers detect."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

import browser
from browser import DESKTOP, NARROW, accessibility_violations, new_session
from processes import Server
from sites import another_origin, reachable

BAD = """<!doctype html><html><title>Bad</title>
<style>div { width: 2000px; color: #ddd; background: #fff }</style>
<div>Pale and wide</div><img src="http://127.0.0.1:9/picture.png">
<script>console.error("no good"); throw new Error("broken")</script>
"""
AXES = {"color-contrast", "html-has-lang", "image-alt"}


@pytest.mark.parametrize("colors", ["light", "dark"])
async def test_docs_are_accessible_in_a_browser(
    chromium: Browser, served: Server, colors: str
) -> None:
    """Closed and open, and a link to an operation opens it."""
    async with new_session(chromium, served.url, colors=colors) as session:
        page = session.page
        assert (await session.go("/docs#verify")).status == 200
        assert await page.locator("#verify").is_visible()
        assert not await page.locator("#sendCode").is_visible()
        await page.locator("summary").first.click()
        assert await page.locator("#sendCode").is_visible()
        assert await accessibility_violations(page) == []
        assert not await session.scrolls_sideways()
        assert not await session.layout_shifts()


@pytest.mark.parametrize("colors", ["light", "dark"])
async def test_the_page_to_try_operations_is_accessible(
    chromium: Browser, served: Server, colors: str
) -> None:
    """But for buttons that Swagger UI nests in others, also with an operation open."""
    async with new_session(chromium, served.url, device=DESKTOP, colors=colors) as session:
        page = session.page
        await session.go("/docs/try")
        await page.get_by_text("/health/live").first.click()
        await page.get_by_role("button", name="Execute").first.wait_for()
        found = await accessibility_violations(page)
        assert [each for each in found if not each.startswith("nested-interactive ")] == []


async def test_docs_page_keeps_no_token_and_cannot_be_framed(
    chromium: Browser, served: Server
) -> None:
    """Its buttons work under its CSP, and nothing is left in the browser's storage."""
    async with new_session(chromium, served.url, device=DESKTOP) as session:
        page = session.page
        policy = (await session.go("/docs/try")).headers["content-security-policy"]
        assert "unsafe" not in policy
        await page.get_by_role("button", name="Authorize").first.click()
        await page.locator("#api_key_value, input[type=text]").first.fill("a-token-of-somebody")
        await page.get_by_role("button", name="Apply credentials").first.click()
        await page.get_by_role("button", name="Close").first.click()
        await page.get_by_text("/health/live").first.click()
        await page.get_by_role("button", name="Execute").first.click()
        await page.get_by_text('"status": "ok"').first.wait_for()
        kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        assert "a-token-of-somebody" not in await page.evaluate(kept)
    framed = f'<!doctype html><title>Frame</title><iframe src="{served.url}/docs/try"></iframe>'
    async with another_origin(framed) as port:
        page = await chromium.new_page()
        await page.goto(f"http://127.0.0.1:{port}")
        await page.wait_for_timeout(500)
        frame = page.frames[-1]
        assert await frame.locator("#docs").count() == 0
        await page.close()


async def test_browser_reaches_a_server_of_this_process(
    chromium: Browser, database_url: str
) -> None:
    async with reachable(database_url) as (service, site), new_session(chromium, site) as session:
        await service.sign_in()
        assert (await session.go("/docs")).status == 200


@pytest.mark.parametrize("scripts", ["with", "without"])
async def test_complaints_of_the_browser_are_noted(chromium: Browser, scripts: str) -> None:
    async with another_origin(BAD) as port:
        site = f"http://127.0.0.1:{port}"
        with pytest.raises(AssertionError) as noted:
            await look_at(chromium, site, javascript=scripts == "with")
    said = str(noted.value)
    assert "another origin: http://127.0.0.1:9/picture.png" in said
    if scripts == "with":
        assert "console: no good" in said
        assert "script: broken" in said


async def look_at(chromium: Browser, site: str, *, javascript: bool) -> None:
    async with new_session(chromium, site, device=NARROW, javascript=javascript) as session:
        await session.go("/")
        if not await session.scrolls_sideways():
            pytest.fail("it has no bar to scroll sideways")
        found = (
            {each.split()[0] for each in await accessibility_violations(session.page)}
            if javascript
            else AXES
        )
        if found != AXES:
            pytest.fail(f"axe-core finds {found}")


def test_missing_browser_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert browser.find_chromium("/nowhere/chromium") is None
