"""Many calls that read and charge counters at the same tat, some of them in one statement."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from locks import on_postgres, somebody_else, until_somebody_waits
from referral.limits import counters, gcra
from referral.limits.gcra import HOUR, Bucket, Charge
from referral.storage import database
from support import Service

# Beyond what the service itself clears away meanwhile
NOW = gcra.microseconds(datetime(2050, 1, 1, tzinfo=UTC))
ALLOWED = 30


def one(key: str = "", *, size: int = 5) -> Charge:
    return gcra.charge("a limit", key or uuid4().hex[:22], Bucket(size, HOUR))


async def charge(*charges: Charge, now: int = NOW) -> dict[str, int] | None:
    keys = [each.key for each in charges]
    before, charged = await counters.read_and_charge(keys, charges, now=now)
    assert charged is None or all(charged[key] > before.get(key, 0) for key in keys)
    return charged


@pytest.mark.parametrize("calls", [10, 200])
async def test_each_charges_its_own_and_no_other(service: Service, calls: int) -> None:
    del service
    wanted = [[one() for _ in range(5)] for _ in range(calls)]
    tats = [NOW + place for place in range(calls)]
    found = await asyncio.gather(
        *(charge(*charges, now=now) for charges, now in zip(wanted, tats, strict=True))
    )
    for charges, now, charged in zip(wanted, tats, found, strict=True):
        assert charged == {each.key: now + each.increment for each in charges}
        assert await counters.read(charged) == charged


async def test_of_those_who_share_a_counter_as_many_get_it_as_there_are_tokens(
    service: Service,
) -> None:
    """And who does not get it has nothing else charged, whoever else is in the statement."""
    del service
    shared = one(size=ALLOWED)
    own = [one() for _ in range(3 * ALLOWED)]
    alone = [one() for _ in range(3 * ALLOWED)]
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


async def test_one_that_is_full_keeps_no_other_back(service: Service) -> None:
    del service
    full, free = one(size=1), [one() for _ in range(20)]
    assert await charge(full)
    refused, *others = await asyncio.gather(
        charge(free[0], full, free[1]), *(charge(each) for each in free[2:])
    )
    assert refused is None
    assert all(others)
    assert not await counters.read([free[0].key, free[1].key])


async def test_a_call_has_its_own_moment(service: Service) -> None:
    """Of two who come together, one whose bucket is full again and one whose is not."""
    del service
    early, late = one(size=1), one(size=1)
    assert await charge(early, late)
    found = await asyncio.gather(
        charge(one()),
        charge(early, now=NOW + early.increment - 1),
        charge(late, now=NOW + late.increment),
    )
    assert [charged is not None for charged in found] == [True, False, True]


@on_postgres
async def test_who_waits_for_another_keeps_nobody_back(database_url: str, service: Service) -> None:
    """Many behind one address, and one who comes later from elsewhere."""
    del service
    shared = one(size=1000)
    # So that two connections are open
    await asyncio.gather(charge(shared), charge(shared))
    async with somebody_else(database_url) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("LOCK TABLE counters")
        crowd = [asyncio.create_task(charge(shared, one())) for _ in range(100)]
        last = asyncio.create_task(charge(one()))
        await until_somebody_waits(other)
        await transaction.rollback()
        await last
        assert sum(task.done() for task in crowd) < len(crowd) // 2
        assert all(await asyncio.gather(*crowd))


@on_postgres
async def test_who_goes_away_takes_nobody_along(database_url: str, service: Service) -> None:
    del service
    async with somebody_else(database_url) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("LOCK TABLE counters")
        waiting = [asyncio.create_task(charge(one())) for _ in range(20)]
        await until_somebody_waits(other)
        for task in waiting[::2]:
            task.cancel()
        await transaction.rollback()
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in found[::2])
    assert all(isinstance(each, dict) for each in found[1::2])


@on_postgres
async def test_a_statement_that_breaks_is_told_to_all_in_it_and_the_next_one_works(
    database_url: str, service: Service
) -> None:
    del service
    async with somebody_else(database_url) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("LOCK TABLE counters")
        # Two statements on their way, and others that wait for their turn
        waiting: list[asyncio.Task[dict[str, int] | None]] = []
        for number in (1, 1, 18):
            waiting += [asyncio.create_task(charge(one())) for _ in range(number)]
            await asyncio.sleep(0.05)
        await until_somebody_waits(other, number=2)
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
        assert all(await asyncio.gather(*(charge(one()) for _ in range(20))))
