"""What runs beside the requests: in every web process, or alone as `referral worker`.

Each process adds up what it counted itself. What is to be cleared away, one process at a time
clears, the one that holds the lease; should it die, the lease runs out and another takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from time import monotonic
from typing import Any

from referral import observability
from referral.context import Context
from referral.core import ids
from referral.limits import counters, gcra
from referral.limits.pumping import guard, traffic
from referral.observability import metrics
from referral.service import session_rules
from referral.storage import audit, database, invitations, leases, sessions
from referral.webhooks import outbox, retry

LEASE = "housekeeping"
_ADD_UP_SECONDS = 2
_SWEEP_SECONDS = 60
_READ_EVERY = _SWEEP_SECONDS // _ADD_UP_SECONDS
_CLEAR_EVERY = 60  # sweeps
_LEASE_LIFE = timedelta(seconds=150)
# Long enough to look into an abuse that is noticed late
AUDIT_ADDRESSES = timedelta(days=90)
# More would hold SQLite's one lock for longer than a sign-in should wait
_AT_ONCE = 2000


@asynccontextmanager
async def running(ctx: Context) -> AsyncIterator[None]:
    """Keep house until the block ends."""
    keeper = _Housekeeper(ctx)
    tasks = [
        asyncio.create_task(_again_and_again(keeper.add_up, _ADD_UP_SECONDS)),
        asyncio.create_task(_again_and_again(keeper.sweep, _SWEEP_SECONDS)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(database.Unavailable):
            # What was counted since the last time
            await keeper.add_up()
            await leases.release(LEASE, keeper.id)


async def purge_counters(ctx: Context) -> int:
    """Delete the counters that say nothing any more; answers how many."""
    return await _in_batches(
        lambda: counters.purge(before=gcra.microseconds(ctx.clock()), most=_AT_ONCE)
    )


async def purge_expired(ctx: Context) -> dict[str, int]:
    """Clear away what is too old, for which whole tables are read; answers how many of what."""
    now = ctx.clock()
    oldest = session_rules.oldest(ctx.limits, now=now)
    return {
        "sessions": await _in_batches(
            lambda: sessions.purge(
                signed_in_before=oldest.signed_in_at,
                used_before=oldest.last_used_at,
                most=_AT_ONCE,
            )
        ),
        "phone_digests": await _in_batches(
            lambda: invitations.purge_activations(before=now, most=_AT_ONCE)
        ),
        "audit_addresses": await _in_batches(
            lambda: audit.purge_addresses(before=now - AUDIT_ADDRESSES, most=_AT_ONCE)
        ),
        "events": await _in_batches(
            lambda: outbox.purge(before=now - retry.KEEP_FINISHED, most=_AT_ONCE)
        ),
    }


class _Housekeeper:
    """One process's part in it."""

    def __init__(self, ctx: Context) -> None:
        self.id = ids.new(ctx.token_bytes)
        self._ctx = ctx
        self._rounds = 0
        self._sweeps = 0

    async def add_up(self) -> None:
        """Exchange counts with the other processes."""
        metrics.IN_PROGRESS.set(self._ctx.limiter.in_use)
        for state, number in database.pool_connections().items():
            metrics.POOL.labels(state).set(number)
        try:
            await database.shielded(self._exchange(read_all=self._rounds % _READ_EVERY == 0))
        except Exception:
            metrics.DATABASE.set(0)
            raise
        metrics.DATABASE.set(1)
        self._rounds += 1

    async def sweep(self) -> None:
        """Clear away what is over, where no other process does."""
        now = self._ctx.clock()
        taking = leases.take(LEASE, self.id, now=now, until=now + _LEASE_LIFE)
        if not await database.shielded(taking):
            self._sweeps = 0
            return
        # Counted first: one that fails is not tried again before its time
        self._sweeps += 1
        await purge_counters(self._ctx)
        await database.shielded(traffic.purge(now))
        if self._sweeps % _CLEAR_EVERY == 1:
            cleared = await purge_expired(self._ctx)
            if any(cleared.values()):
                observability.purged(cleared)

    async def _exchange(self, *, read_all: bool) -> None:
        ctx, now = self._ctx, self._ctx.clock()
        await ctx.global_limits.save(now)
        if ctx.cost_guard == guard.OFF:
            return
        if read_all:
            await ctx.traffic.read(now)
        await ctx.traffic.save(now)


async def _again_and_again(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - one failed round must not be the last
            observability.housekeeping_failed(error)
        await asyncio.sleep(seconds)


async def _in_batches(forget: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """All of it, so many at a time, with pauses: those who sign in meanwhile come first.

    A batch runs to its end, and between two of them the work can be ended.
    """
    forgotten = 0
    while True:
        begun = monotonic()
        some = await database.shielded(forget())
        forgotten += some
        if some < _AT_ONCE:
            return forgotten
        await asyncio.sleep(2 * (monotonic() - begun))
