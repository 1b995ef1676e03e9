"""The ledger under concurrency: events and redemptions that race in four processes."""

from __future__ import annotations

import asyncio
from collections import Counter

from ledger_checks import fetch
from racing import Racing
from support import Person


async def test_copies_of_an_event_earn_once(racing: Racing) -> None:
    """50 at once: one is new, and all get the same entries."""
    shop = racing.shop
    await shop.rule()
    await shop.rule("welcome", beneficiary="invitee", occurs="first", amount=50)
    await shop.rule("one", occurs={"at": 1}, amount=1000, hold_days=1)
    (invitee,) = await racing.invitees(1)
    responses = await racing.responses(shop.post_event("order-1", invitee) for _ in range(50))
    assert Counter(each.status_code for each in responses) == {201: 1, 200: 49}
    assert len(responses[0].json()["rewards"]) == 3
    assert all(each.json() == responses[0].json() for each in responses)


async def test_an_event_id_is_one_users(racing: Racing) -> None:
    """Of an event with the id of another user's, one is stored and the rest conflict."""
    shop = racing.shop
    await shop.rule()
    people = await racing.invitees(20)
    statuses = await racing.at_once(shop.post_event("order-1", each) for each in people)
    assert statuses == {201: 1, 409: 19}


async def test_milestones_are_reached_exactly(racing: Racing) -> None:
    """By the first and second events of 12 invitees at once."""
    shop = racing.shop
    await shop.rule("three", occurs={"at": 3}, amount=1000)
    await shop.rule("pairs", occurs={"each": 2}, amount=10)
    inviter = await shop.service.sign_in()
    invitees = await racing.invitees(12, inviter)
    statuses = await racing.at_once(
        shop.post_event(f"order-{number}-{each.id()}", each)
        for each in invitees
        for number in range(2)
    )
    assert statuses == {201: 24}
    assert await shop.balance(inviter) == (1060, 0)
    sql = f"SELECT milestone FROM reward_entries WHERE user_id = '{inviter.id()}'"  # noqa: S608
    reached = Counter(row["milestone"] for row in await fetch(racing.database_url, sql))
    assert reached == Counter([3, 2, 4, 6, 8, 10, 12])


async def test_caps_are_exact(racing: Racing) -> None:
    """Of 30 events of three invitees at once, as many earn as the caps allow."""
    shop = racing.shop
    await shop.rule("total", cap_total=1050)
    await shop.rule("month", unit="stars", cap_per_month=700)
    await shop.rule("both", unit="moons", cap_total=500, cap_per_month=600, hold_days=1)
    inviter = await shop.service.sign_in()
    invitees = await racing.invitees(3, inviter)
    statuses = await racing.at_once(
        shop.post_event(f"order-{number}", invitees[number % 3]) for number in range(30)
    )
    assert statuses == {201: 30}
    assert await shop.balance(inviter) == (1000, 0)
    assert await shop.balance(inviter, "stars") == (700, 0)
    assert await shop.balance(inviter, "moons") == (0, 500)


async def test_first_earns_once_for_each_invitee(racing: Racing) -> None:
    """By four events of each of 12 invitees at once, for both sides."""
    shop = racing.shop
    await shop.rule("inviter", occurs="first")
    await shop.rule("invitee", occurs="first", beneficiary="invitee", amount=7)
    inviter = await shop.service.sign_in()
    invitees = await racing.invitees(12, inviter)
    statuses = await racing.at_once(
        shop.post_event(f"order-{number}-{each.id()}", each)
        for number in range(4)
        for each in invitees
    )
    assert statuses == {201: 48}
    assert await shop.balance(inviter) == (1200, 0)
    assert [await shop.balance(each) for each in invitees] == [(7, 0)] * 12


async def test_redemptions_never_overdraw(racing: Racing) -> None:
    """Of 40 at once, those are refused for which nothing is left."""
    shop = racing.shop
    inviter = await with_balance(racing, 1000)
    amounts = [10 + 7 * number % 90 for number in range(40)]
    responses = await racing.responses(
        shop.redeem(f"r-{number}", inviter, amount=amount) for number, amount in enumerate(amounts)
    )
    assert Counter(each.status_code for each in responses).keys() == {201, 409}
    spent = -sum(each.json()["amount"] for each in responses if each.status_code == 201)
    available, _ = await shop.balance(inviter)
    assert available == 1000 - spent
    refused = [
        amount
        for amount, each in zip(amounts, responses, strict=True)
        if each.status_code == 409 and each.json()["code"] == "insufficient_balance"
    ]
    assert 0 <= available < min(refused)


async def test_a_redemption_is_made_and_reversed_once(racing: Racing) -> None:
    """By 20 copies at once, then by reversals at once with repeats."""
    shop = racing.shop
    inviter = await with_balance(racing, 100)
    responses = await racing.responses(shop.redeem("r-1", inviter) for _ in range(20))
    assert Counter(each.status_code for each in responses) == {201: 1, 200: 19}
    assert all(each.json() == responses[0].json() for each in responses)
    assert await shop.balance(inviter) == (0, 0)
    reversals, repeats = await asyncio.gather(
        racing.responses(shop.call("POST", "/redemptions/r-1*/reverse") for _ in range(10)),
        racing.responses(shop.redeem("r-1", inviter) for _ in range(10)),
    )
    assert {each.status_code for each in reversals} == {200}
    assert len({each.json()["id"] for each in reversals}) == 1
    # 200 before the reversal, redemption_conflict after it
    assert {each.status_code for each in repeats} <= {200, 409}
    assert await shop.balance(inviter) == (100, 0)


async def with_balance(racing: Racing, amount: int) -> Person:
    """Return a user who has earned this many points."""
    await racing.shop.rule(amount=amount)
    inviter = await racing.shop.service.sign_in()
    (invitee,) = await racing.invitees(1, inviter)
    await racing.shop.event("earned", invitee)
    return inviter
