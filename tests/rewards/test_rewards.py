"""Rewards of events, through the API of an app's backend."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rewards import Shop, open_shop
from support import Service, ok


@pytest.fixture
async def shop(service: Service) -> AsyncIterator[Shop]:
    async with open_shop(service) as shop:
        yield shop


async def test_an_event_earns_for_the_inviter(shop: Shop) -> None:
    await shop.rule()
    inviter, invitee = await shop.invite()
    (entry,) = await shop.event("order-1", invitee)
    assert entry | {"id": "", "created_at": "", "available_at": ""} == {
        "id": "",
        "user_id": inviter.id(),
        "rule": "purchase",
        "version": 1,
        "unit": "points",
        "amount": 100,
        "status": "available",
        "cause": "order-1",
        "about_user_id": invitee.id(),
        "flags": ["same_address"],  # the people of these tests share one
        "created_at": "",
        "available_at": "",
        "reverses": None,
    }
    assert await shop.balance(inviter) == (100, 0)
    own = ok(await inviter.call("GET", "/profile/rewards"))
    assert own["balances"] == [{"unit": f"points{shop.tag}", "available": 100, "pending": 0}]
    assert own["items"][0].keys() == entry.keys() - {"flags", "cause"}
    repeated = await shop.post_event("order-1", invitee)
    assert repeated.status_code == 200
    assert repeated.json()["rewards"] == [entry]
    conflict = await shop.post_event("order-1", invitee, value=5)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "event_conflict")


async def test_a_reversal_takes_back_what_an_event_earned(shop: Shop) -> None:
    await shop.rule(hold_days=14)
    inviter, invitee = await shop.invite()
    (entry,) = await shop.event("order-1", invitee)
    assert entry["status"] == "pending"
    assert await shop.balance(inviter) == (0, 100)
    (reversal,) = await shop.reverse("order-1")
    assert (reversal["amount"], reversal["status"]) == (-100, "reversed")
    assert (reversal["cause"], reversal["reverses"]) == ("refund", entry["id"])
    assert await shop.balance(inviter) == (0, 0)
    assert await shop.reverse("order-1") == [reversal]
    assert await shop.statuses(inviter) == [(100, "reversed"), (-100, "reversed")]


async def test_a_first_reward_is_made_anew_by_another_event(shop: Shop) -> None:
    await shop.rule(occurs="first", hold_days=14)
    inviter, invitee = await shop.invite()
    assert len(await shop.event("order-1", invitee)) == 1
    assert await shop.event("order-2", invitee) == []
    shop.service.clock.move(days=1)
    reversal, anew = await shop.reverse("order-1")
    assert reversal["status"] == "reversed"
    assert (anew["cause"], anew["status"]) == ("order-2", "pending")
    assert await shop.balance(inviter) == (0, 100)
    shop.service.clock.move(days=14)
    assert await shop.balance(inviter) == (100, 0)
    (taken,) = await shop.reverse("order-2")
    assert taken["reverses"] == anew["id"]
    assert await shop.balance(inviter) == (0, 0)


async def test_a_milestone_is_earned_at_its_number(shop: Shop) -> None:
    await shop.rule("three", occurs={"at": 3}, trigger="activated")
    await shop.rule("pairs", occurs={"each": 2}, amount=10, unit="stars")
    inviter = await shop.service.sign_in()
    invitees = [(await shop.invite(inviter))[1] for _ in range(4)]
    assert await shop.balance(inviter) == (100, 0)
    for number, invitee in enumerate(invitees):
        await shop.event(f"order-{number}", invitee)
    assert await shop.balance(inviter, "stars") == (20, 0)
    await shop.reverse("order-0")
    assert await shop.balance(inviter, "stars") == (10, 0)
    await shop.event("order-5", invitees[0])
    assert await shop.balance(inviter, "stars") == (20, 0)
    for invitee in invitees[:2]:
        await shop.void(invitee)
    assert await shop.balance(inviter) == (0, 0)
    assert await shop.balance(inviter, "stars") == (10, 0)


async def test_caps_bound_what_a_rule_gives(shop: Shop) -> None:
    await shop.rule(cap_per_month=250, cap_total=300)
    inviter, invitee = await shop.invite()
    for number in range(4):
        await shop.event(f"order-{number}", invitee)
    assert await shop.balance(inviter) == (200, 0)
    shop.service.clock.move(days=31)
    for number in range(4, 8):
        await shop.event(f"order-{number}", invitee)
    assert await shop.balance(inviter) == (300, 0)


async def test_a_redemption_takes_at_most_what_is_available(shop: Shop) -> None:
    await shop.rule()
    inviter, invitee = await shop.invite()
    await shop.event("order-1", invitee)
    refused = await shop.redeem("r-1", inviter, amount=101)
    assert (refused.status_code, refused.json()["code"]) == (409, "insufficient_balance")
    made = await shop.redeem("r-1", inviter, amount=60)
    assert made.status_code == 201
    assert (made.json()["amount"], made.json()["status"]) == (-60, "redeemed")
    again = await shop.redeem("r-1", inviter, amount=60)
    assert (again.status_code, again.json()) == (200, made.json())
    other = await shop.redeem("r-1", inviter, amount=61)
    assert other.json()["code"] == "redemption_conflict"
    assert await shop.balance(inviter) == (40, 0)
    await shop.reverse("order-1")
    assert await shop.balance(inviter) == (-60, 0)
    returned = ok(await shop.call("POST", "/redemptions/r-1*/reverse"))
    assert (returned["amount"], returned["reverses"]) == (60, made.json()["id"])
    assert ok(await shop.call("POST", "/redemptions/r-1*/reverse")) == returned
    assert await shop.balance(inviter) == (0, 0)


async def test_a_reviewer_decides(shop: Shop) -> None:
    await shop.rule(review="all")
    inviter, invitee = await shop.invite()
    (first,) = await shop.event("order-1", invitee)
    (second,) = await shop.event("order-2", invitee)
    assert first["status"] == "in_review"
    assert await shop.balance(inviter) == (0, 0)
    queue = ok(
        await shop.call("GET", "/rewards", params={"status": "in_review", "unit": "points"})
    )["items"]
    assert [each["id"] for each in queue] == [second["id"], first["id"]]
    approved = ok(await shop.call("POST", f"/rewards/{first['id']}/approve"))
    assert approved["status"] == "available"
    assert ok(await shop.call("POST", f"/rewards/{first['id']}/approve")) == approved
    rejected = ok(await shop.call("POST", f"/rewards/{second['id']}/reject"))
    assert rejected["status"] == "rejected"
    conflict = await shop.call("POST", f"/rewards/{second['id']}/approve")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "review_conflict")
    assert await shop.balance(inviter) == (100, 0)
    await shop.reverse("order-2")
    assert await shop.statuses(inviter) == [(100, "available"), (100, "rejected")]
