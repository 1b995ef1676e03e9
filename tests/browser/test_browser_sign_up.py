"""Joining by invitation in a browser: with an invitation, and without one."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from browser import new_session
from referral.service import sign_ups
from sites import reachable
from support import context_of, new_phone
from walks import ask_for_code, enter, error, shown_code

SCRIPTS = pytest.mark.parametrize("scripts", ["with scripts", "without scripts"])


@SCRIPTS
async def test_a_person_joins_by_invitation(
    chromium: Browser, database_url: str, scripts: str
) -> None:
    """One without an invitation is asked for it, and the code that was typed is kept."""
    javascript = scripts == "with scripts"
    async with (
        reachable(database_url, REFERRAL_SIGN_UP="invited") as (service, site),
        new_session(chromium, site, javascript=javascript) as boris,
        new_session(chromium, site, javascript=javascript) as clara,
    ):
        phone, _ = await sign_ups.grant(context_of(service), new_phone())
        anna = await service.sign_in(phone)
        invite_code = anna.tokens["profile"]["invite_code"]

        await boris.go("/")
        await ask_for_code(boris, new_phone())
        code = await shown_code(boris)
        await enter(boris, code)
        assert "need an invitation" in await error(boris, "invite_code")
        assert await boris.page.input_value("input[name=code]") == code
        assert await boris.page.evaluate("document.activeElement.name") == "invite_code"
        await boris.page.fill("input[name=invite_code]", "ZZZZZZ")
        await boris.submit("form[action^='/code?'] button")
        assert "no such invite code" in await error(boris, "invite_code")
        await boris.page.reload()
        # A complete code is not submitted before there is an invite code
        await boris.page.fill("input[name=code]", code)
        assert boris.path().startswith("/code?")
        await boris.page.fill("input[name=invite_code]", invite_code.lower())
        await boris.submit("form[action^='/code?'] button")
        assert boris.path() == "/me"
        await boris.go("/me/account")
        assert invite_code in await boris.text("section:has(#inviter)")

        await clara.go(f"/i/{invite_code}")
        await ask_for_code(clara, new_phone())
        await enter(clara, await shown_code(clara))
        assert clara.path() == "/me"
        assert (await anna.profile())["invitee_count"] == 2
