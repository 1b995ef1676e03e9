"""Events about rewards reach the webhook endpoint, and `reward.available` at the right time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from endpoint_server import EndpointServer, Request
from racing import change, reverse
from referral.webhooks import operations
from rewards import Shop, open_shop
from support import Service, context_of, eventually, ok, running

# Longer than the dispatcher waits between two rounds
ROUND_SECONDS = 1.5


@pytest.fixture
async def service(database_url: str, endpoint: EndpointServer) -> AsyncIterator[Service]:
    """A service with a webhook endpoint."""
    async with running(database_url, **endpoint.settings) as started:
        yield started


@pytest.fixture
async def shop(service: Service) -> AsyncIterator[Shop]:
    async with open_shop(service) as shop:
        yield shop


async def test_available_is_sent_once_after_the_hold(shop: Shop, endpoint: EndpointServer) -> None:
    await shop.rule(hold_days=14)
    _, invitee = await shop.invite()
    (entry,) = await shop.event("order-1", invitee)
    await wait_for(endpoint, entry, ["earned"])
    shop.service.clock.move(days=14, seconds=-5)
    await asyncio.sleep(ROUND_SECONDS)
    assert types(endpoint, entry) == ["earned"]
    shop.service.clock.move(seconds=5)
    available = (await wait_for(endpoint, entry, ["earned", "available"]))[-1]
    assert available.event["timestamp"] == entry["available_at"]
    assert available.timestamp >= int(datetime.fromisoformat(entry["available_at"]).timestamp())
    assert available.event["data"] == {
        **entry,
        "status": "available",
        "rule": f"purchase{shop.tag}",
        "unit": f"points{shop.tag}",
        "cause": f"order-1{shop.tag}",
    }
    await reverse(shop, "order-1")
    await wait_for(endpoint, entry, ["earned", "available", "reversed"])
    await assert_nothing_waits(shop)


async def test_available_is_not_sent_for_what_was_reversed(
    shop: Shop, endpoint: EndpointServer
) -> None:
    await shop.rule(hold_days=14)
    _, invitee = await shop.invite()
    (entry,) = await shop.event("order-1", invitee)
    await reverse(shop, "order-1")
    await wait_for(endpoint, entry, ["earned", "reversed"])
    shop.service.clock.move(days=15)
    await assert_nothing_waits(shop)
    assert types(endpoint, entry) == ["earned", "reversed"]


@pytest.mark.parametrize("approved_after", [1, 15])
@pytest.mark.parametrize("blocks", [True, False])
async def test_available_is_sent_once_after_an_approval(
    shop: Shop, endpoint: EndpointServer, approved_after: int, *, blocks: bool
) -> None:
    """Of an entry that a rule or a block put in review, before or after the end of the hold."""
    await shop.rule(hold_days=14, review="none" if blocks else "all")
    _, invitee = await shop.invite()
    (entry,) = await shop.event("order-1", invitee)
    if blocks:
        ok(await change(shop, invitee, blocks=True))
    shop.service.clock.move(days=approved_after)
    await asyncio.sleep(ROUND_SECONDS)
    assert types(endpoint, entry) == ["earned"]
    ok(await shop.call("POST", f"/rewards/{entry['id']}/approve"))
    if approved_after < 14:
        await asyncio.sleep(ROUND_SECONDS)
        assert types(endpoint, entry) == ["earned"]
        shop.service.clock.move(days=14)
    await wait_for(endpoint, entry, ["earned", "available"])
    await assert_nothing_waits(shop)
    assert types(endpoint, entry) == ["earned", "available"]


async def test_a_rejection_is_sent_as_a_reversal(shop: Shop, endpoint: EndpointServer) -> None:
    await shop.rule(review="all")
    _, invitee = await shop.invite()
    (entry,) = await shop.event("order-1", invitee)
    for _ in range(2):
        ok(await shop.call("POST", f"/rewards/{entry['id']}/reject"))
    *_, rejected = await wait_for(endpoint, entry, ["earned", "reversed"])
    assert rejected.event["data"]["status"] == "rejected"
    await reverse(shop, "order-1")
    await assert_nothing_waits(shop)
    assert types(endpoint, entry) == ["earned", "reversed"]


async def test_an_endpoint_that_was_down_gets_what_still_holds(
    shop: Shop, endpoint: EndpointServer
) -> None:
    await shop.rule(hold_days=1)
    _, invitee = await shop.invite()
    (kept,) = await shop.event("order-1", invitee)
    (lost,) = await shop.event("order-2", invitee)
    (late,) = await shop.event("order-3", invitee)
    await assert_nothing_waits(shop)
    await endpoint.kill()
    shop.service.clock.move(days=1)
    await asyncio.sleep(ROUND_SECONDS)
    await reverse(shop, "order-2")
    ok(await change(shop, invitee, blocks=True))
    await endpoint.start()
    shop.service.clock.move(hours=1)
    await wait_for(endpoint, kept, ["earned", "available"])
    # Available before the block, which therefore does not hold it
    await wait_for(endpoint, late, ["earned", "available"])
    await wait_for(endpoint, lost, ["earned", "reversed"])
    await assert_nothing_waits(shop)
    assert types(endpoint, lost) == ["earned", "reversed"]


async def test_available_never_follows_the_reversal(shop: Shop, endpoint: EndpointServer) -> None:
    """Of 30 entries that are reversed just as they become available, at an endpoint with faults."""
    await shop.rule(hold_days=1)
    _, invitee = await shop.invite()
    entries = [(await shop.event(f"order-{n}", invitee))[0] for n in range(30)]
    await assert_nothing_waits(shop)
    endpoint.delay = 0.05
    failing = {each["id"] for each in entries[::3]}
    endpoint.respond = lambda request: (
        500 if request.type == "reward.available" and entry_id(request) in failing else 200
    )
    shop.service.clock.move(days=1)
    for number in range(30):
        await reverse(shop, f"order-{number}")
        await asyncio.sleep(0.03)
    endpoint.respond = lambda _: 200
    shop.service.clock.move(hours=1)
    await assert_nothing_waits(shop)
    for each in entries:
        attempted = [r.type for r in endpoint.attempts if entry_id(r) == each["id"]]
        if "reward.available" in attempted:
            last = len(attempted) - 1 - attempted[::-1].index("reward.available")
            assert last < attempted.index("reward.reversed")
        assert types(endpoint, each) in (
            ["earned", "available", "reversed"],
            ["earned", "reversed"],
        )


def entry_id(request: Request) -> str:
    found: str = request.event["data"].get("id", "")
    return found


def types(endpoint: EndpointServer, entry: dict[str, Any]) -> list[str]:
    """Return the types of the acknowledged events of an entry, without their prefix."""
    return [
        each.type.removeprefix("reward.")
        for each in endpoint.acknowledged
        if entry_id(each) == entry["id"]
    ]


async def wait_for(
    endpoint: EndpointServer, entry: dict[str, Any], expected: list[str]
) -> list[Request]:
    """Wait until the endpoint has acknowledged these events of an entry."""
    await eventually(lambda: len(types(endpoint, entry)) >= len(expected), seconds=20)
    assert types(endpoint, entry) == expected
    return [each for each in endpoint.acknowledged if entry_id(each) == entry["id"]]


async def assert_nothing_waits(shop: Shop) -> None:
    """Wait until nothing that has happened waits in the outbox."""
    async with asyncio.timeout(20):
        while (await operations.status(context_of(shop.service))).waiting:  # noqa: ASYNC110 - a task
            await asyncio.sleep(0.05)
