"""The pages /admin/rewards and /admin/rules."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from pages import (
    ORIGIN,
    Browser,
    browsing,
    error_of,
    found,
    notice_on,
    reauthenticate,
    signed_in,
    value_of,
)
from referral.service import admins
from referral.storage.models import Activation
from rewards import Shop, open_shop
from support import Person, Service, context_of, new_phone, ok

REWARDS, RULES = "/admin/rewards", "/admin/rules"
FORM = {"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def shop(service: Service) -> AsyncIterator[Shop]:
    async with open_shop(service) as shop:
        yield shop


@pytest.fixture
async def admin(service: Service) -> AsyncIterator[Browser]:
    """An administrator's browser."""
    phone = new_phone()
    await admins.grant(context_of(service), phone)
    async with signed_in(service, phone) as browser:
        yield browser


def plain(page: str) -> str:
    """Return the text of a page without markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


async def in_review(shop: Shop, **fields: object) -> tuple[Person, Person, str]:
    """Make an entry in review; return the inviter, the invitee and its id."""
    await shop.rule(**{"review": "all", **fields})
    inviter, invitee = await shop.invite()
    (entry,) = await shop.event("order-1", invitee)
    return inviter, invitee, entry["id"]


async def test_the_queue_shows_what_waits(shop: Shop, admin: Browser) -> None:
    """Who earned it, how much, about whom, by which rule and event."""
    inviter, invitee, entry_id = await in_review(shop, hold_days=14)
    await shop.rule("paid", trigger="paid")
    await shop.event("paid-1", invitee, type="paid")
    page = await admin.see(f"{REWARDS}?unit=points{shop.tag}")
    entry = found(r'<ul class="rows" id="entries">(.*?)</ul>', page)
    assert entry.count("<li>") == 1
    assert f"/admin/users/{inviter.id()}" in entry
    assert f"/admin/users/{invitee.id()}" in entry
    text = plain(entry).replace(shop.tag, "")
    assert "+100 points for" in text
    assert "waits for a decision · by the rule purchase · about" in text
    assert "order-1 ·" in text
    assert entry_id in entry
    everything = await admin.see(f"{REWARDS}?status=all&unit=points{shop.tag}")
    assert everything.count("/approve?") == 1
    assert "by the rule paid" in plain(everything)


async def test_a_reviewer_approves_and_rejects(shop: Shop, admin: Browser) -> None:
    """The list stays as it was filtered. A second decision changes nothing and is told."""
    inviter, invitee, first = await in_review(shop)
    (entry,) = await shop.event("order-2", invitee)
    query = f"status=in_review&unit=points{shop.tag}"
    page = await admin.see(f"{REWARDS}?{query}")
    asking = re.findall(r'<details class="ask">.*?action="([^"]+)".*?</details>', page, re.DOTALL)
    assert len([each for each in asking if "/reject?" in each]) == 2
    assert f'action="{REWARDS}/{first}/approve?{query}"' in page
    where = await admin.submit(f"{REWARDS}/{first}/approve?{query}")
    assert where == f"{REWARDS}?{query}"
    page = await admin.see(where)
    assert notice_on(page) == "The reward is approved."
    assert first not in page
    page = await admin.submit_and_see(f"{REWARDS}/{entry['id']}/reject?{query}")
    assert notice_on(page) == "The reward is rejected."
    assert "Nothing waits for a decision." in page
    assert await shop.balance(inviter) == (100, 0)
    page = await admin.submit_and_see(f"{REWARDS}/{first}/reject?{query}")
    assert notice_on(page) == "Nothing is changed: this was decided or taken back already."
    assert await shop.balance(inviter) == (100, 0)
    trail = await admin.see("/admin/audit")
    assert "<b>reward approved</b>" in trail
    assert "<b>reward rejected</b>" in trail


async def test_decisions_need_a_fresh_sign_in(shop: Shop, admin: Browser) -> None:
    _, _, entry_id = await in_review(shop)
    shop.service.clock.move(minutes=16)
    for action in ("approve", "reject"):
        where = await admin.submit(f"{REWARDS}/{entry_id}/{action}?status=all")
        assert where.startswith(f"/again?next={REWARDS}%3Fstatus%3Dall%26draft%3D")
    assert (await shop.call("POST", f"/rewards/{entry_id}/approve")).status_code == 200


async def test_decisions_are_for_administrators_only(shop: Shop, admin: Browser) -> None:
    _, _, entry_id = await in_review(shop)
    path = f"{REWARDS}/{entry_id}/approve"
    async with signed_in(shop.service) as browser:
        assert (await browser.http.post(path, headers=FORM)).status_code == 403
    response = await admin.http.post(path, headers={"Origin": "https://evil.example"})
    assert response.status_code == 403
    for unknown in (f"{REWARDS}/{entry_id}/bless", f"{REWARDS}/x/approve"):
        assert (await admin.http.post(unknown, headers=FORM)).status_code == 404
    for bad in ("status=x", "unit=1", "cursor=x"):
        assert (await admin.get(f"{REWARDS}?{bad}")).status_code == 400


async def test_entries_are_filtered_and_paginated(shop: Shop, admin: Browser) -> None:
    await shop.rule(amount=1)
    inviter, invitee = await shop.invite()
    for number in range(31):
        await shop.event(f"order-{number}", invitee)
    query = f"status=available&unit=points{shop.tag}"
    page = await admin.see(f"{REWARDS}?{query}")
    assert page.count("+1 <bdi>") == 30
    older = found(r'rel="next" href="([^"]+)"', page)
    assert older.startswith(f"{REWARDS}?{query}&cursor=")
    assert (await admin.see(older)).count("+1 <bdi>") == 1
    own = await admin.see(f"{REWARDS}?status=all&user={inviter.id()}")
    assert "Only those of" in own
    assert own.count("+1 <bdi>") == 30
    assert "There are no entries." in await admin.see(f"{REWARDS}?status=all&user={invitee.id()}")


async def test_flags_are_shown_in_words(shop: Shop, admin: Browser) -> None:
    await shop.rule(review="all")
    _, invitee = await shop.invite()
    await Activation.filter(user_id=invitee.id()).update(flags="burst same_device")
    await shop.event("order-1", invitee)
    page = plain(await admin.see(f"{REWARDS}?unit=points{shop.tag}"))
    assert "many invited in an hour same browser as the inviter" in page
