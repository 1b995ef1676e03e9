"""Pictures of the pages, for README.md: `make screenshots` writes docs/screenshots/."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser

from browser import DESKTOP, PHONE, Visitor, chromium, visiting
from processes import ROOT, referral, serving
from walks import ask_for_code, enter, shown_code, sign_in

PICTURES = ROOT / "docs" / "screenshots"
SETTINGS = {
    "REFERRAL_APP_NAME": "Coffee Club",
    "REFERRAL_INVITE_URL": "https://coffee.example/i/{code}",
    "REFERRAL_TERMS_URL": "https://coffee.example/terms",
    "REFERRAL_PRIVACY_URL": "https://coffee.example/privacy",
}
# Who invited most of the demo, and somebody who comes anew
INVITER, NEWCOMER = "+1 290 000 0001", "+1 290 000 9999"
SHARPNESS = {390: 1.5, 1280: 1}  # pixels of a picture to one of CSS, by the width of the screen
TALLEST = 1200  # CSS pixels, unless said otherwise


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
    """A database with people who do not exist, one of whom administers."""
    for command in (["migrate"], ["demo", "--users", "400"], ["admin", "grant", INVITER]):
        done = referral(folder, *command, **SETTINGS)
        assert done.returncode == 0, done.stderr


async def _administer(browser: Browser, site: str) -> str:
    """The pages of the one who administers. Their invite code."""
    async with visiting(browser, site, device=_sharp(PHONE)) as visitor:
        await sign_in(visitor, INVITER)
        invite_code = await visitor.text("#my-code")
        await _take(visitor, "profile")
        await visitor.go("/me/invitees")
        await _take(visitor, "invitees", tallest=844)
        await visitor.go("/admin")
        await _take(visitor, "admin", tallest=1650)
        await _go_to_oneself(visitor)
        await _take(visitor, "admin-user")
    for colors in ("light", "dark"):
        async with visiting(browser, site, device=_sharp(DESKTOP), colors=colors) as visitor:
            await sign_in(visitor, INVITER)
            await visitor.go("/admin")
            await _take(visitor, f"admin-wide-{colors}")
            if colors == "light":
                await _go_to_oneself(visitor)
                await _take(visitor, "admin-user-wide")
    return invite_code


async def _go_to_oneself(visitor: Visitor) -> None:
    """To the user's page, with the first branches of the tree open."""
    await visitor.go("/admin/users?search=12900000001")
    await visitor.submit("#users a")
    branches = visitor.page.locator(".tree > li > details > summary")
    for number in range(min(2, await branches.count())):
        await branches.nth(number).click()


async def _join(browser: Browser, site: str, invite_code: str) -> None:
    """The pages of somebody who comes by the invite link, and of somebody who just comes."""
    async with visiting(browser, site, device=_sharp(PHONE)) as visitor:
        await visitor.go("/")
        await _take(visitor, "sign-in")
        await ask_for_code(visitor, NEWCOMER)
        await _take(visitor, "code")
    async with visiting(browser, site, device=_sharp(PHONE), colors="dark") as visitor:
        await visitor.go(f"/i/{invite_code}")
        await _take(visitor, "invite-dark")
        await ask_for_code(visitor, INVITER)
        await enter(visitor, await shown_code(visitor))
        await visitor.go("/me")
        await _take(visitor, "profile-dark")


def _sharp(device: dict[str, Any]) -> dict[str, Any]:
    return {**device, "device_scale_factor": SHARPNESS[device["viewport"]["width"]]}


async def _take(visitor: Visitor, name: str, *, tallest: int = TALLEST) -> None:
    """The page from its top, as far as it goes but no taller than so many CSS pixels."""
    await visitor.page.evaluate("document.activeElement.blur()")
    size = visitor.page.viewport_size
    assert size is not None
    height = await visitor.page.evaluate("document.documentElement.scrollHeight")
    area = {"x": 0, "y": 0, "width": size["width"], "height": min(height, tallest)}
    path = PICTURES / f"{name}.png"
    await visitor.page.screenshot(path=path, full_page=True, clip=area, caret="hide")  # type: ignore[arg-type]  # a plain dict is one


if __name__ == "__main__":
    asyncio.run(take_all())
