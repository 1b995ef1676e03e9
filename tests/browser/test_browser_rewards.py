"""Rewards in a browser: from a rule to what the inviter reads."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser

from browser import DESKTOP, PHONE, new_session
from referral.service import admins
from rewards import open_shop
from sites import reachable
from support import context_of, new_phone
from walks import error, notice, sign_in


@pytest.mark.parametrize(
    ("device", "javascript"),
    [(PHONE, True), (DESKTOP, False)],
    ids=["telephone with scripts", "computer without"],
)
async def test_a_rule_is_made_and_its_reward_approved(
    chromium: Browser, database_url: str, device: dict[str, Any], *, javascript: bool
) -> None:
    """By an administrator; then the inviter has the reward, on hold."""
    async with (
        reachable(database_url) as (service, site),
        open_shop(service) as shop,
        new_session(chromium, site, device=device, javascript=javascript) as session,
    ):
        phone = new_phone()
        await admins.grant(context_of(service), phone)
        await sign_in(session, phone)
        page = session.page

        await session.go("/admin/rules")
        shop.rules.add("first")
        texts = {"name": f"first{shop.tag}", "trigger": f"purchase{shop.tag}"}
        for name, text in {**texts, "unit": f"points{shop.tag}", "amount": "0"}.items():
            await page.fill(f"input[name={name}]", text)
        await page.fill("input[name=hold_days]", "14")
        await page.fill("input[name=until]", "2100-01-31T12:00")
        await page.select_option("select[name=occurs]", "first")
        await page.select_option("select[name=review]", "all")
        await session.submit("form[action='/admin/rules'] button.main")
        assert await error(session, "amount")
        assert await page.input_value("input[name=until]") == "2100-01-31T12:00"
        assert await page.input_value("select[name=occurs]") == "first"
        await page.fill("input[name=amount]", "500")
        await session.submit("form[action='/admin/rules'] button.main")
        assert await notice(session)
        assert "once for each invitee" in await session.text("#rules")

        inviter, invitee = await shop.invite()
        (entry,) = await shop.event("order-1", invitee)
        assert entry["status"] == "in_review"
        await session.submit("nav a[href='/admin/rewards']")
        await page.select_option("select[name=unit]", f"points{shop.tag}")
        await session.submit("form[action='/admin/rewards'] button")
        assert not await page.locator("#reject-1").is_visible()
        await page.click("details:has(#reject-1) summary")
        assert await page.locator("#reject-1").is_visible()
        await session.submit("#approve-1")
        assert await notice(session)
        assert not await page.locator("#entries").count()
        assert await shop.balance(inviter) == (0, 500)

        await session.submit("form[action='/sign-out'] button")
        service.clock.move(seconds=3)
        await sign_in(session, inviter.phone)
        assert "500" in await session.text("#balances")
