"""What runs beside the requests: in every web process, or alone as `referral worker`.

Each process adds up what it counted itself. What is to be cleared away, one process at a time
clears, the one that holds the lease; should it die, the lease runs out and another takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from referral.core import buckets, ids, retention
from referral.service import cost_guard, metrics, outcomes, send_tallies
from referral.service.parts import Parts
from referral.storage import audit, counters, database, invitations, leases, outbox, sessions

LEASE = "housekeeping"
_ROUND_SECONDS = 2
_SWEEP_EVERY = 30  # rounds
_CLEAR_EVERY = 60  # sweeps
_LEASE_LIFE = timedelta(seconds=150)
_AT_ONCE = 5000


@asynccontextmanager
async def running(parts: Parts) -> AsyncIterator[None]:
    """Keep house until the block ends."""
    task = asyncio.create_task(_Housekeeper(parts).keep_house())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def forget_counters(parts: Parts) -> int:
    """Delete the counters that say nothing any more; answers how many."""
    return await _in_batches(
        lambda: counters.forget(before=buckets.microseconds(parts.clock()), most=_AT_ONCE)
    )


async def clear_away(parts: Parts) -> dict[str, int]:
    """Clear away what is too old, for which whole tables are read; answers how many of what."""
    now = parts.clock()
    horizon = retention.horizon(parts.limits, now=now)
    return {
        "sessions": await _in_batches(
            lambda: sessions.forget(
                signed_in_before=horizon.signed_in, used_before=horizon.last_used, most=_AT_ONCE
            )
        ),
        "phone_digests": await _in_batches(
            lambda: invitations.forget_old_activations(before=now, most=_AT_ONCE)
        ),
        "audit_addresses": await _in_batches(
            lambda: audit.forget_addresses(before=horizon.audit_address, most=_AT_ONCE)
        ),
        "events": await _in_batches(
            lambda: outbox.forget(before=horizon.event_done, most=_AT_ONCE)
        ),
    }


class _Housekeeper:
    """One process's part in it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._id = ids.new(parts.token_bytes)
        self._rounds = 0
        self._sweeps = 0

    async def keep_house(self) -> None:
        try:
            while True:
                # Not cancelled in the middle of a statement: the task ends between two rounds
                try:
                    await database.to_its_end(self._round())
                except Exception as error:  # noqa: BLE001 - one failed round must not be the last
                    outcomes.housekeeping_failed(error)
                self._rounds += 1
                await asyncio.sleep(_ROUND_SECONDS)
        finally:
            with suppress(*database.UNAVAILABLE):
                await leases.give_back(LEASE, self._id)

    async def _round(self) -> None:
        minute = self._rounds % _SWEEP_EVERY == 0
        await self._add_up(read_all=minute)
        if minute:
            await self._sweep()

    async def _add_up(self, *, read_all: bool) -> None:
        for state, number in database.pool_connections().items():
            metrics.POOL.labels(state).set(number)
        parts, now = self._parts, self._parts.clock()
        await parts.totals.save(now)
        if parts.cost_guard == cost_guard.OFF:
            return
        if read_all:
            await parts.send_tallies.read(now)
        await parts.send_tallies.save(now)

    async def _sweep(self) -> None:
        now = self._parts.clock()
        if not await leases.take(LEASE, self._id, now=now, until=now + _LEASE_LIFE):
            self._sweeps = 0
            return
        await forget_counters(self._parts)
        await send_tallies.forget(now)
        if self._sweeps % _CLEAR_EVERY == 0:
            cleared: dict[str, Any] = await clear_away(self._parts)
            if any(cleared.values()):
                outcomes.record("cleared_away", **cleared)
        self._sweeps += 1


async def _in_batches(forget: Callable[[], Awaitable[int]]) -> int:
    """So many at a time that no statement takes long."""
    forgotten = 0
    while (some := await forget()) == _AT_ONCE:
        forgotten += some
    return forgotten + some
