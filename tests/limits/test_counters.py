"""Calls that read and charge counters at the same time, some of them in one statement."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from locks import on_postgres, other_connection, wait_for_blocked
from referral.limits import counters, gcra
from referral.limits.gcra import HOUR, Bucket, Charge
from referral.limits.policy import LimitName
from referral.storage import database
from support import Service

# So late that the service does not purge the counters meanwhile
NOW = gcra.microseconds(datetime(2050, 1, 1, tzinfo=UTC))
ALLOWED = 30


def new(size: int = 5) -> Charge:
    """Build a charge to a counter of its own."""
    return gcra.new_charge(LimitName.SENDS_DAY, uuid4().hex[:22], Bucket(size, HOUR))


async def charge(*charges: Charge, now: int = NOW) -> dict[str, int] | None:
    keys = [each.key for each in charges]
    before, charged = await counters.read_and_charge(keys, charges, now=now)
    assert charged is None or all(charged[key] > before.get(key, 0) for key in keys)
    return charged


@pytest.mark.parametrize("calls", [10, 200])
async def test_each_call_charges_its_own_counters(service: Service, calls: int) -> None:
    del service
    wanted = [[new() for _ in range(5)] for _ in range(calls)]
    times = [NOW + number for number in range(calls)]
    found = await asyncio.gather(
        *(charge(*charges, now=now) for charges, now in zip(wanted, times, strict=True))
    )
    for charges, now, charged in zip(wanted, times, found, strict=True):
        assert charged == {each.key: now + each.increment for each in charges}
        assert await counters.read(charged) == charged


async def test_shared_counter_is_charged_up_to_its_size(service: Service) -> None:
    """Calls that it refuses have nothing else charged, whatever else is in the statement."""
    del service
    shared = new(ALLOWED)
    own = [new() for _ in range(3 * ALLOWED)]
    alone = [new() for _ in range(3 * ALLOWED)]
    found, others = await asyncio.gather(
        asyncio.gather(*(charge(shared, each) for each in own)),
        asyncio.gather(*(charge(each) for each in alone)),
    )
    assert sum(charged is not None for charged in found) == ALLOWED
    assert all(charged is not None for charged in others)
    tats = await counters.read(each.key for each in [shared, *own])
    assert tats[shared.key] == NOW + ALLOWED * shared.increment
    for each, charged in zip(own, found, strict=True):
        assert tats.get(each.key, NOW) - NOW == (each.increment if charged else 0)


async def test_exhausted_counter_does_not_refuse_other_calls(service: Service) -> None:
    del service
    exhausted, free = new(1), [new() for _ in range(20)]
    assert await charge(exhausted)
    refused, *others = await asyncio.gather(
        charge(free[0], exhausted, free[1]), *(charge(each) for each in free[2:])
    )
    assert refused is None
    assert all(others)
    assert not await counters.read([free[0].key, free[1].key])


async def test_each_call_is_charged_at_its_own_time(service: Service) -> None:
    """Of two calls in a statement, one comes after its bucket has refilled, one before."""
    del service
    early, late = new(1), new(1)
    assert await charge(early, late)
    found = await asyncio.gather(
        charge(new()),
        charge(early, now=NOW + early.increment - 1),
        charge(late, now=NOW + late.increment),
    )
    assert [charged is not None for charged in found] == [True, False, True]


@on_postgres
async def test_calls_that_wait_do_not_delay_others(database_url: str, service: Service) -> None:
    """Many calls behind one address, and a later one from elsewhere."""
    del service
    shared = new(1000)
    # Open two connections
    await asyncio.gather(charge(shared), charge(shared))
    async with other_connection(database_url) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("LOCK TABLE counters")
        burst = [asyncio.create_task(charge(shared, new())) for _ in range(100)]
        last = asyncio.create_task(charge(new()))
        await wait_for_blocked(other)
        await transaction.rollback()
        await last
        assert sum(task.done() for task in burst) < len(burst) // 2
        assert all(await asyncio.gather(*burst))


@on_postgres
async def test_cancelled_call_leaves_the_others(database_url: str, service: Service) -> None:
    del service
    async with other_connection(database_url) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("LOCK TABLE counters")
        waiting = [asyncio.create_task(charge(new())) for _ in range(20)]
        await wait_for_blocked(other)
        for task in waiting[::2]:
            task.cancel()
        await transaction.rollback()
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in found[::2])
    assert all(isinstance(each, dict) for each in found[1::2])


@on_postgres
async def test_broken_statement_fails_all_its_calls_only(
    database_url: str, service: Service
) -> None:
    del service
    async with other_connection(database_url) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("LOCK TABLE counters")
        # Two statements in flight, and calls that wait for the next
        waiting: list[asyncio.Task[dict[str, int] | None]] = []
        for number in (1, 1, 18):
            waiting += [asyncio.create_task(charge(new())) for _ in range(number)]
            await asyncio.sleep(0.05)
        await wait_for_blocked(other, number=2)
        await other.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN"
            " (SELECT pid FROM pg_locks WHERE NOT granted)"
        )
        await transaction.rollback()
        found: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
    broken = [each for each in found if isinstance(each, BaseException)]
    assert broken
    assert all(isinstance(each, database.Unavailable) for each in broken)
    async with asyncio.timeout(10):
        assert all(await asyncio.gather(*(charge(new()) for _ in range(20))))


async def test_refund_happens_even_if_its_caller_is_cancelled(service: Service) -> None:
    del service
    charges = [new(), new()]
    assert await charge(*charges)
    # The first refund's statement runs, the second refund waits for the next one
    refunds = []
    for each in charges:
        refunds.append(asyncio.create_task(counters.refund([each], now=NOW)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    for task in refunds:
        task.cancel()
    await asyncio.gather(*refunds, return_exceptions=True)
    async with asyncio.timeout(10):
        while set((await counters.read(each.key for each in charges)).values()) != {NOW}:  # noqa: ASYNC110 - a row of the database
            await asyncio.sleep(0.01)
