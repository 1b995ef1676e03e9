"""What every web process does beside its requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from referral.core import buckets
from referral.service import cost_guard, outcomes, send_tallies
from referral.service.parts import Parts
from referral.storage import counters, database

_TOTALS_SECONDS = 2
_FORGET_EVERY = _READ_EVERY = 30
_FORGET_AT_ONCE = 5000


@asynccontextmanager
async def running(parts: Parts) -> AsyncIterator[None]:
    """Keep house until the block ends."""
    task = asyncio.create_task(_keep_house(parts))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def forget_counters(parts: Parts) -> int:
    """Delete the counters that say nothing any more; answers how many."""
    forgotten = 0
    while True:
        now = buckets.microseconds(parts.clock())
        some = await counters.forget(before=now, most=_FORGET_AT_ONCE)
        forgotten += some
        if some < _FORGET_AT_ONCE:
            return forgotten


async def _keep_house(parts: Parts) -> None:
    rounds = 0
    while True:
        # Not cancelled in the middle of a statement: the task ends between two rounds
        try:
            await database.to_its_end(parts.totals.save(parts.clock()))
            if parts.cost_guard != cost_guard.OFF:
                await database.to_its_end(_keep_send_tallies(parts, read=rounds % _READ_EVERY == 0))
            if rounds % _FORGET_EVERY == 0:
                await database.to_its_end(forget_counters(parts))
                await database.to_its_end(send_tallies.forget(parts.clock()))
        except Exception as error:  # noqa: BLE001 - one failed round must not be the last
            outcomes.housekeeping_failed(error)
        rounds += 1
        await asyncio.sleep(_TOTALS_SECONDS)


async def _keep_send_tallies(parts: Parts, *, read: bool) -> None:
    if read:
        await parts.send_tallies.read(parts.clock())
    await parts.send_tallies.save(parts.clock())
