"""The ledger under concurrency: what takes entries back, or decides, races in four processes."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

from locks import on_postgres, other_connection, wait_for_blocked
from racing import Racing, change, reverse


async def test_reversals_race_with_other_events_of_the_invitee(racing: Racing) -> None:
    """Whichever is first, the other event earns what the reversed one no longer does."""
    shop = racing.shop
    await shop.rule("first", occurs="first", hold_days=1)
    await shop.rule("pairs", occurs={"each": 2}, amount=10, unit="stars")
    await shop.rule("every", amount=1, unit="moons")
    inviter = await shop.service.sign_in()
    invitees = await racing.invitees(10, inviter)
    for each in invitees:
        await shop.event(f"a-{each.id()}", each)
    calls = [
        call
        for each in invitees
        for call in (
            reverse(shop, f"a-{each.id()}"),
            shop.post_event(f"b-{each.id()}", each),
            reverse(shop, f"a-{each.id()}"),
        )
    ]
    assert await racing.at_once(calls) == {200: 20, 201: 10}
    assert await shop.balance(inviter) == (0, 1000)
    assert await shop.balance(inviter, "stars") == (50, 0)
    assert await shop.balance(inviter, "moons") == (10, 0)


async def test_voids_race_with_events(racing: Racing) -> None:
    """Nothing is left of what was earned under a voided activation."""
    shop = racing.shop
    await shop.rule("first", occurs="first")
    await shop.rule("welcome", beneficiary="invitee", amount=5, hold_days=1)
    await shop.rule("pairs", occurs={"each": 2}, amount=10)
    inviter = await shop.service.sign_in()
    invitees = await racing.invitees(10, inviter)
    calls = []
    for each in invitees:
        calls += [shop.post_event(f"order-{n}-{each.id()}", each) for n in range(2)]
        calls.append(shop.call("DELETE", f"/users/{each.id()}/inviter"))
        calls.append(shop.post_event(f"late-{each.id()}", each))
    assert await racing.at_once(calls) == {201: 30, 204: 10}
    assert await shop.balance(inviter) == (0, 0)
    assert [await shop.balance(each) for each in invitees] == [(0, 0)] * 10


async def test_deletions_and_blocks_race_with_events(racing: Racing) -> None:
    """Nothing is pending for or about a blocked or deleted user."""
    shop = racing.shop
    await shop.rule("first", occurs="first", hold_days=1)
    await shop.rule("welcome", beneficiary="invitee", amount=5, hold_days=1)
    await shop.rule("pairs", occurs={"each": 2}, amount=10, hold_days=1)
    kept, gone = await shop.service.sign_in(), await shop.service.sign_in()
    invitees = [*await racing.invitees(8, kept), *await racing.invitees(8, gone)]
    calls = [change(shop, gone, blocks=False)]
    for number, each in enumerate(invitees):
        calls += [shop.post_event(f"order-{n}-{each.id()}", each) for n in range(2)]
        calls.append(change(shop, each, blocks=number % 2 == 0))
        calls.append(reverse(shop, f"order-0-{each.id()}"))
    statuses = await racing.at_once(calls)
    assert statuses.keys() <= {200, 201, 204, 404}
    assert statuses[204] == 9
    for each in [gone, *invitees]:
        assert (await shop.balance(each))[1] == 0
    pending = {each["rule"] for each in await shop.entries(kept) if each["status"] == "pending"}
    assert pending <= {"pairs"}


async def test_decisions_race_with_reversals(racing: Racing) -> None:
    """Of approvals, rejections and a reversal of one entry, each is made once or not at all."""
    shop = racing.shop
    await shop.rule(review="all")
    inviter = await shop.service.sign_in()
    invitees = await racing.invitees(5, inviter)
    entries = {}
    for number in range(20):
        (entry,) = await shop.event(f"order-{number}", invitees[number % 5])
        entries[number] = entry["id"]
    calls = []
    for number, entry_id in entries.items():
        calls += [shop.call("POST", f"/rewards/{entry_id}/approve") for _ in range(2)]
        calls += [shop.call("POST", f"/rewards/{entry_id}/reject") for _ in range(2)]
        if number % 2:
            calls.insert(len(calls) - number % 5, reverse(shop, f"order-{number}"))
    statuses = await racing.at_once(calls)
    assert statuses.keys() == {200, 409}
    found = Counter((each["amount"], each["status"]) for each in await shop.entries(inviter))
    assert found.keys() <= {
        (100, "available"),
        (100, "rejected"),
        (100, "reversed"),
        (-100, "reversed"),
    }
    assert await shop.balance(inviter) == (100 * found[100, "available"], 0)


async def test_blocks_race_with_what_takes_entries_back(racing: Racing) -> None:
    """A block of an invitee holds an entry while its inviter is deleted, or a milestone is lost."""
    shop = racing.shop
    await shop.rule("first", occurs="first", hold_days=1)
    await shop.rule("pairs", occurs={"each": 2}, amount=10, hold_days=1)
    calls = []
    for number in range(12):
        inviter = await shop.service.sign_in()
        first, last = await racing.invitees(2, inviter)
        for each in (first, last):
            await shop.event(f"order-{each.id()}", each)
        taking_back = (
            change(shop, inviter, blocks=False)
            if number % 2
            else reverse(shop, f"order-{first.id()}")
        )
        calls += [change(shop, last, blocks=True), taking_back]
    assert await racing.at_once(calls) == {200: 18, 204: 6}


@on_postgres
async def test_a_slow_block_is_counted_once(racing: Racing) -> None:
    """It has put an entry in review, but is not committed, when the entry is reversed."""
    shop = racing.shop
    await shop.rule("pairs", occurs={"each": 2}, hold_days=1)
    inviter = await shop.service.sign_in()
    first, last = await racing.invitees(2, inviter)
    for each in (first, last):
        await shop.event(f"order-{each.id()}", each)
    assert await shop.balance(inviter) == (0, 100)
    balance = "SELECT 1 FROM reward_balances WHERE user_id = $1 FOR UPDATE"
    async with other_connection(racing.database_url) as other:
        async with other.transaction():
            await other.fetch(balance, UUID(inviter.id()))
            block = asyncio.ensure_future(change(shop, last, blocks=True))
            await wait_for_blocked(other, number=1)
            reversal = asyncio.ensure_future(reverse(shop, f"order-{first.id()}"))
            await wait_for_blocked(other, number=2)
        assert await racing.at_once([block, reversal]) == {200: 2}
    assert await shop.balance(inviter) == (0, 0)
