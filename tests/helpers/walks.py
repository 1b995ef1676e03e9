"""Steps that people take on the pages, each from page to page."""

from __future__ import annotations

import re
from dataclasses import dataclass

from browser import Visitor
from support import Service, new_phone

CODE = "input[name=code]"
GO_ON = "form[action^='/code?'] button"
SEND = "form[action='/'] button.main"
SIMULATED = "#simulated-code"


@dataclass
class Scene:
    """A service of this process, and somebody in front of it."""

    service: Service
    visitor: Visitor


async def ask_for_code(visitor: Visitor, phone: str) -> None:
    """On a page with a field for the phone."""
    await visitor.page.fill("input[name=phone]", phone)
    await visitor.submit("main form:has(input[name=phone]) button.main")


async def shown_code(visitor: Visitor) -> str:
    """The one that the page shows while sending is simulated."""
    return (await visitor.text(SIMULATED)).strip()


async def enter(visitor: Visitor, code: str) -> None:
    """Type a whole code, which the script sends by itself."""
    async with visitor.page.expect_navigation():
        await visitor.page.fill(CODE, code)
        if not visitor.javascript:
            await visitor.page.locator(f"form:has({CODE}) button.main").click()


def wrong(code: str) -> str:
    """Another code of as many digits."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


async def sign_in(visitor: Visitor, phone: str | None = None, *, path: str = "/") -> str:
    """From the sign-in page, or an invitation's, to where it leads. The phone."""
    phone = phone or new_phone()
    await visitor.go(path)
    await ask_for_code(visitor, phone)
    assert visitor.path().startswith("/code?tab=")
    await enter(visitor, await shown_code(visitor))
    return phone


async def error(visitor: Visitor, name: str) -> str:
    """What is wrong with a field: it says so itself, and leads to the words beside it."""
    field = visitor.page.locator(f"input[name={name}]:not([type=hidden])")
    assert await field.get_attribute("aria-invalid") == "true"
    described = (await field.get_attribute("aria-describedby") or "").split()
    assert f"{name}-error" in described
    return await visitor.text(f"#{name}-error")


async def notice(visitor: Visitor) -> str:
    """What the page says is done."""
    return await visitor.text("main [role=status]")


async def change(visitor: Visitor, name: str, text: str) -> None:
    """A row of the profile, edited in its place."""
    form = f"details:has(input[name={name}])"
    if not await visitor.page.locator(f"{form}[open]").count():
        await visitor.page.click(f"{form} summary")
    await visitor.page.fill(f"{form} input[name={name}]", text)
    await visitor.submit(f"{form} button")


async def use_invite_code(visitor: Visitor, invite_code: str) -> None:
    await visitor.page.fill("input[name=invite_code]", invite_code)
    await visitor.submit("form[action='/me/inviter'] button")


def digits(text: str) -> str:
    """Of a phone, however it is spelt."""
    return re.sub(r"\D", "", text)
