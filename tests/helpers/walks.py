"""Steps on the pages in a real browser."""

from __future__ import annotations

import re
from dataclasses import dataclass

from browser import BrowserSession
from support import Service, new_phone

CODE = "input[name=code]"
GO_ON = "form[action^='/code?'] button"
SEND = "form[action='/'] button.main"
SIMULATED = "#simulated-code"


@dataclass
class Scene:
    """A service of this process, and a browser session that uses it."""

    service: Service
    session: BrowserSession


async def ask_for_code(session: BrowserSession, phone: str) -> None:
    """Submit the phone field of the current page."""
    await session.page.fill("input[name=phone]", phone)
    await session.submit("main form:has(input[name=phone]) button.main")


async def shown_code(session: BrowserSession) -> str:
    """Return the code that the page shows while sending is simulated."""
    return (await session.text(SIMULATED)).strip()


async def enter(session: BrowserSession, code: str) -> None:
    """Type a complete code, which the script submits automatically."""
    async with session.page.expect_navigation():
        await session.page.fill(CODE, code)
        if not session.javascript:
            await session.page.locator(f"form:has({CODE}) button.main").click()


async def sign_in(session: BrowserSession, phone: str | None = None, *, path: str = "/") -> str:
    """Sign in from this path until the last redirect, and return the phone."""
    phone = phone or new_phone()
    await session.go(path)
    await ask_for_code(session, phone)
    assert session.path().startswith("/code?tab=")
    await enter(session, await shown_code(session))
    return phone


async def error(session: BrowserSession, name: str) -> str:
    """Return the error of a field, which must be marked as invalid and refer to the error."""
    field = session.page.locator(f"input[name={name}]:not([type=hidden])")
    assert await field.get_attribute("aria-invalid") == "true"
    described = (await field.get_attribute("aria-describedby") or "").split()
    assert f"{name}-error" in described
    return await session.text(f"#{name}-error")


async def notice(session: BrowserSession) -> str:
    """Return the notice above the content."""
    return await session.text("main [role=status]")


async def change(session: BrowserSession, name: str, text: str) -> None:
    """Open a row of the account, and submit a new text."""
    await _open_account(session)
    form = f"details:has(input[name={name}])"
    if not await session.page.locator(f"{form}[open]").count():
        await session.page.click(f"{form} summary")
    await session.page.fill(f"{form} input[name={name}]", text)
    await session.submit(f"{form} button")


async def use_invite_code(session: BrowserSession, invite_code: str) -> None:
    await _open_account(session)
    await session.page.fill("input[name=invite_code]", invite_code)
    await session.submit("form[action='/me/inviter'] button")


async def _open_account(session: BrowserSession) -> None:
    if not session.path().startswith("/me/account"):
        await session.go("/me/account")


def digits(text: str) -> str:
    """Return the digits of a phone in any format."""
    return re.sub(r"\D", "", text)
