"""Screenshots of the pages for the documentation: `make screenshots` writes docs/screenshots/."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser

from browser import DESKTOP, PHONE, BrowserSession, chromium, new_session
from processes import ROOT, referral, serving
from walks import ask_for_code, enter, shown_code, sign_in

PICTURES = ROOT / "docs" / "screenshots"
SETTINGS = {
    "REFERRAL_APP_NAME": "Coffee Club",
    "REFERRAL_INVITE_URL": "https://coffee.example/i/{code}",
    "REFERRAL_TERMS_URL": "https://coffee.example/terms",
    "REFERRAL_PRIVACY_URL": "https://coffee.example/privacy",
}
# The user who invited most of the demo's users, and a phone that has no account yet
INVITER, NEWCOMER = "+1 290 000 0001", "+1 290 000 9999"
SCALES = {390: 1.5, 1280: 1}  # image pixels per CSS pixel, by the width of the screen
MAX_HEIGHT = 1200  # CSS pixels


async def take_all() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        await asyncio.to_thread(_prepare, folder)
        with serving(folder, **SETTINGS) as server:
            async with chromium() as browser:
                invite_code = await _administer(browser, server.url)
                await _join(browser, server.url, invite_code)


def _prepare(folder: Path) -> None:
    """Make a database with users of the demo, one of them an administrator."""
    for command in (["migrate"], ["demo", "--users", "400"], ["admin", "grant", INVITER]):
        done = referral(folder, *command, **SETTINGS)
        assert done.returncode == 0, done.stderr


async def _administer(browser: Browser, site: str) -> str:
    """Take screenshots of the administrator's pages, and return the administrator's invite code."""
    async with new_session(browser, site, device=_scaled(PHONE)) as session:
        await sign_in(session, INVITER)
        invite_code = await session.text("#my-code")
        await _take(session, "profile")
        await session.go("/me/invitees")
        await _take(session, "invitees", max_height=844)
        await session.go("/admin")
        await _take(session, "admin", max_height=1650)
        await _open_own_page(session)
        await _take(session, "admin-user")
    for colors in ("light", "dark"):
        async with new_session(browser, site, device=_scaled(DESKTOP), colors=colors) as session:
            await sign_in(session, INVITER)
            await session.go("/admin")
            await _take(session, f"admin-wide-{colors}")
            if colors == "light":
                await _open_own_page(session)
                await _take(session, "admin-user-wide")
    return invite_code


async def _open_own_page(session: BrowserSession) -> None:
    """Open the administrator's own page in the administration, with two branches of the tree."""
    await session.go("/admin/users?search=12900000001")
    await session.submit("#users a")
    branches = session.page.locator(".tree > li > details > summary")
    for number in range(min(2, await branches.count())):
        await branches.nth(number).click()


async def _join(browser: Browser, site: str, invite_code: str) -> None:
    """Take screenshots of the sign-in pages, without and with an invitation."""
    async with new_session(browser, site, device=_scaled(PHONE)) as session:
        await session.go("/")
        await _take(session, "sign-in")
        await ask_for_code(session, NEWCOMER)
        await _take(session, "code")
    async with new_session(browser, site, device=_scaled(PHONE), colors="dark") as session:
        await session.go(f"/i/{invite_code}")
        await _take(session, "invite-dark")
        await ask_for_code(session, INVITER)
        await enter(session, await shown_code(session))
        await session.go("/me")
        await _take(session, "profile-dark")


def _scaled(device: dict[str, Any]) -> dict[str, Any]:
    return {**device, "device_scale_factor": SCALES[device["viewport"]["width"]]}


async def _take(session: BrowserSession, name: str, *, max_height: int = MAX_HEIGHT) -> None:
    """Take a screenshot of the top of the page. max_height: in CSS pixels."""
    await session.page.evaluate("document.activeElement.blur()")
    size = session.page.viewport_size
    assert size is not None
    height = await session.page.evaluate("document.documentElement.scrollHeight")
    area = {"x": 0, "y": 0, "width": size["width"], "height": min(height, max_height)}
    path = PICTURES / f"{name}.png"
    await session.page.screenshot(path=path, full_page=True, clip=area, caret="hide")  # type: ignore[arg-type]  # a plain dict is one


if __name__ == "__main__":
    asyncio.run(take_all())
