"""Housekeeping: background tasks of every web process, and of `referral worker`.

Every process exchanges its counts with the other processes, through the database, every 2 seconds
(the traffic of the cost guard, the global limits, opens of invite links, and delivery figures).
Expired rows are purged every minute by one process at a time: the holder of the lease. If it dies,
the lease expires and another process takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any

from referral import observability
from referral.context import Context
from referral.core import ids
from referral.limits import counters, gcra
from referral.limits.pumping import guard, traffic
from referral.messaging import deliveries
from referral.observability import metrics
from referral.rewards import flags
from referral.service import session_rules
from referral.storage import audit as audit_queries
from referral.storage import database
from referral.storage import invitations as invitation_queries
from referral.storage import leases as lease_queries
from referral.storage import places as place_queries
from referral.storage import sessions as session_queries
from referral.webhooks import outbox, retry

LEASE = "housekeeping"
# Long enough to investigate abuse that is noticed late
KEEP_AUDIT_ADDRESSES = timedelta(days=90)
_EXCHANGE_SECONDS = 2
_PURGE_SECONDS = 60
# Every 30th exchange reads the traffic of all segments, not only of countries
_READ_ALL_EVERY = _PURGE_SECONDS // _EXCHANGE_SECONDS
# Purges after which whole tables are read for expired rows: an hour
_PURGE_ALL_EVERY = 60
_LEASE_LIFE = timedelta(seconds=150)
# A larger batch would hold SQLite's only write lock for longer than a sign-in should wait
_BATCH_SIZE = 2000


@asynccontextmanager
async def running(ctx: Context) -> AsyncIterator[None]:
    """Run the background tasks until the block ends."""
    keeper = _Housekeeper(ctx)
    tasks = [
        asyncio.create_task(_repeat(keeper.exchange_counts, _EXCHANGE_SECONDS)),
        asyncio.create_task(_repeat(keeper.purge, _PURGE_SECONDS)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(database.Unavailable):
            # Messages on their way count too, but the process may be killed while it waits for them
            await keeper.exchange_counts()
            await database.finish_tasks()
            await keeper.exchange_counts()
            await lease_queries.release(LEASE, keeper.id)


async def purge_counters(ctx: Context) -> int:
    """Delete refilled counters, which count nothing. Return how many were deleted."""
    return await _in_batches(
        lambda: counters.purge(before=gcra.microseconds(ctx.clock()), batch_size=_BATCH_SIZE)
    )


async def purge_expired(ctx: Context) -> dict[str, int]:
    """Delete or clear expired rows, reading whole tables. Return how many, by kind."""
    now = ctx.clock()
    cutoff = session_rules.expiry_cutoff(ctx.limits, now=now)
    return {
        "sessions": await _in_batches(
            lambda: session_queries.purge(
                signed_in_before=cutoff.signed_in_at,
                used_before=cutoff.last_used_at,
                now=now,
                batch_size=_BATCH_SIZE,
            )
        ),
        "session_addresses": await _in_batches(
            lambda: session_queries.purge_addresses(
                before=now - flags.SAME_ADDRESS_WITHIN, batch_size=_BATCH_SIZE
            )
        ),
        "phone_digests": await _in_batches(
            lambda: invitation_queries.purge_past_activations(before=now, batch_size=_BATCH_SIZE)
        ),
        "admitted_phones": await _in_batches(
            lambda: place_queries.purge(before=now, batch_size=_BATCH_SIZE)
        ),
        "audit_addresses": await _in_batches(
            lambda: audit_queries.purge_addresses(
                before=now - KEEP_AUDIT_ADDRESSES, batch_size=_BATCH_SIZE
            )
        ),
        "events": await _in_batches(
            lambda: outbox.purge(before=now - retry.KEEP_FINISHED, batch_size=_BATCH_SIZE)
        ),
    }


class _Housekeeper:
    """The housekeeping of one process."""

    def __init__(self, ctx: Context) -> None:
        self.id = ids.new(ctx.token_bytes)
        self._ctx = ctx
        self._exchanges = 0
        self._purges = 0

    async def exchange_counts(self) -> None:
        """Exchange counts with the other processes, and set the gauges of this one."""
        metrics.IN_PROGRESS.set(self._ctx.limiter.in_use)
        for state, number in database.pool_connections().items():
            metrics.POOL_CONNECTIONS.labels(state).set(number)
        try:
            read_all = self._exchanges % _READ_ALL_EVERY == 0
            await database.shielded(self._exchange(read_all=read_all))
        except Exception:
            metrics.DATABASE_UP.set(0)
            raise
        metrics.DATABASE_UP.set(1)
        self._exchanges += 1

    async def purge(self) -> None:
        """Delete what has expired, unless another process holds the lease."""
        now = self._ctx.clock()
        acquiring = lease_queries.acquire(LEASE, self.id, now=now, until=now + _LEASE_LIFE)
        if not await database.shielded(acquiring):
            self._purges = 0
            return
        # Counted first, so that a failed purge of whole tables is not repeated every minute
        self._purges += 1
        await purge_counters(self._ctx)
        for purge in (traffic.purge, deliveries.purge):
            await _in_batches(partial(purge, now, batch_size=_BATCH_SIZE))
        if self._purges % _PURGE_ALL_EVERY == 1:
            purged = await purge_expired(self._ctx)
            if any(purged.values()):
                observability.purged(purged)

    async def _exchange(self, *, read_all: bool) -> None:
        ctx, now = self._ctx, self._ctx.clock()
        await ctx.global_limits.save(now)
        if ctx.cost_guard != guard.OFF:
            if read_all:
                await ctx.traffic.read(now)
            await ctx.traffic.save(now)
        await ctx.invite_opens.save(invites_per_user=ctx.sign_up.invites_per_user)
        await ctx.deliveries.save()


async def _repeat(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - a failed round must not end the task
            observability.housekeeping_failed(error)
        await asyncio.sleep(seconds)


async def _in_batches(purge_batch: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Purge batch after batch. Return how many rows were purged.

    The pauses between batches let sign-ins write. A cancellation takes effect between two batches.
    """
    purged = 0
    while True:
        started = monotonic()
        size = await database.shielded(purge_batch())
        purged += size
        if size < _BATCH_SIZE:
            return purged
        await asyncio.sleep(2 * (monotonic() - started))
