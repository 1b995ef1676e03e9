"""Delivering events to the team's receiver: in every web process, or in `referral worker`.

One process at a time delivers, the one that holds the lease. It sends nothing that might still be
under way when the lease runs out, so no two ever deliver at once; should it die, another one takes
the lease once it has run out. What was sent and not written down by then is sent again: at least
once, with the same id.

Of each user the events go one after the other, as they happened, in a lane of their own; of
different users several at once. webhooks/retry.py has the rules of what fails.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID

from referral import observability
from referral.context import Context
from referral.core import ids
from referral.observability import metrics
from referral.storage import database, leases
from referral.storage.models import Event
from referral.webhooks import delivery, outbox
from referral.webhooks import payloads as events
from referral.webhooks.results import Results

if TYPE_CHECKING:
    from referral.webhooks.client import Receiver

LEASE = "webhooks"
AT_ONCE = 20

_LEASE_LIFE = timedelta(seconds=25)
_RENEW_EVERY = timedelta(seconds=5)
_MARGIN_SECONDS = 2
_POLL_SECONDS = 1
_TAKE_OVER_SECONDS = 3
# Between two rounds, so that many results are written by one statement
_PACE_SECONDS = 0.1
_WINDOW = 300
_USER_QUEUE = 20
_COUNT_SECONDS = 10
_MOST_COUNTED = 100_000
_END_SECONDS = 5


@asynccontextmanager
async def running(ctx: Context) -> AsyncIterator[None]:
    """Deliver until the block ends. Without a receiver, nothing."""
    if ctx.endpoint is None:
        yield
        return
    # It imports httpx: 4 MB and 30 ms
    from referral.webhooks.client import Receiver  # noqa: PLC0415 - as said

    async with Receiver(ctx.endpoint, clock=ctx.clock, at_once=AT_ONCE) as team:
        courier = _Dispatcher(ctx, team)
        task = asyncio.create_task(courier.deliver())
        try:
            yield
        finally:
            courier.stopping.set()
            ctx.events_wait.set()
            await task


class _Dispatcher:
    """One process's part in it."""

    def __init__(self, ctx: Context, team: Receiver) -> None:
        self._ctx = ctx
        self._team = team
        self._id = ids.new(ctx.token_bytes)
        self._held_until = ctx.clock()
        self._lanes: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        # Places of what is in a lane, or was and is not written down yet
        self._taken: set[int] = set()
        self._results = Results(clock=ctx.clock, written=self._taken.difference_update)
        self._counted_at = -float(_COUNT_SECONDS)
        self.stopping = asyncio.Event()

    async def deliver(self) -> None:
        while not self.stopping.is_set():
            holds = False
            try:
                # Not cancelled in the middle of a statement
                holds = await database.shielded(self._round())
            except Exception as error:  # noqa: BLE001 - one failed round must not be the last
                observability.deliveries_stalled(error)
            await self._pause(holds=holds)
        await self._end()

    async def _round(self) -> bool:
        """Whether this process is the one that delivers."""
        await self._count()
        if not await self._hold():
            return False
        self._ctx.events_wait.clear()
        await self._results.save()
        await self._results.read_resumption()
        await self._start()
        return True

    async def _pause(self, *, holds: bool) -> None:
        woken = self._ctx.events_wait if holds else self.stopping
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS if holds else _TAKE_OVER_SECONDS):
                await woken.wait()
        if not self.stopping.is_set():
            await asyncio.sleep(_PACE_SECONDS)

    async def _end(self) -> None:
        """Let what is under way end, write it down, and let another process go on."""
        if self._lanes:
            await asyncio.wait(self._lanes, timeout=_END_SECONDS)
        hanging = list(self._lanes)
        for lane in hanging:
            lane.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        with suppress(database.Unavailable):
            await self._results.save()
            # The receiver may be at work on what hangs: then nobody else begins before its time
            if not hanging:
                await leases.release(LEASE, self._id)

    async def _hold(self) -> bool:
        now = self._ctx.clock()
        held = self._held_until > now
        if self._held_until - now > _LEASE_LIFE - _RENEW_EVERY:
            return True
        until = now + _LEASE_LIFE
        if not await leases.take(LEASE, self._id, now=now, until=until):
            self._held_until = now
            return False
        if not held and not self._lanes:
            await self._results.read_breaker()
        self._held_until = until
        return True

    def _may_send(self, *, probe: bool) -> bool:
        """Whether a try that begins now ends while this process holds the lease."""
        left = (self._held_until - self._ctx.clock()).total_seconds()
        in_time = left > delivery.TIMEOUT_SECONDS + _MARGIN_SECONDS
        breaker = self._results.breaker
        is_there = breaker is None or (probe and not breaker.is_stopped)
        return in_time and is_there and not self.stopping.is_set()

    async def _start(self) -> None:
        """Open a lane for each user of whom something is due."""
        now, breaker = self._ctx.clock(), self._results.breaker
        if breaker is not None and (self._lanes or breaker.until is None or now < breaker.until):
            return
        if len(self._taken) >= _WINDOW:
            return
        found = await outbox.due(now=now, limit=_WINDOW + len(self._taken))
        lanes = [
            [event]
            for event in found
            if event.user_id is None and event.sequence not in self._taken
        ]
        lanes += await self._user_queues({event.user_id for event in found if event.user_id}, now)
        lanes.sort(key=lambda lane: (lane[0].next_attempt_at, lane[0].sequence))
        probe = self._results.breaker is not None
        if probe:
            del lanes[1:]
        told = await events.bodies(event for lane in lanes for event in lane)
        for lane in lanes:
            self._taken.update(event.sequence for event in lane)
            bodies = [told[event.sequence] for event in lane]
            task = asyncio.create_task(self._send(lane, bodies, probe=probe))
            self._lanes.add(task)
            task.add_done_callback(self._left)

    async def _user_queues(self, user_ids: set[UUID], now: datetime) -> list[list[Event]]:
        """What waits of each of these users, unless its first is not due or something of it is
        under way.
        """
        waiting: dict[UUID, list[Event]] = defaultdict(list)
        for event in await outbox.waiting(user_ids, limit=2 * _WINDOW + len(self._taken)):
            if event.user_id is not None:
                waiting[event.user_id].append(event)
        lanes = []
        for user_id, lane in waiting.items():
            first = lane[0].next_attempt_at
            if any(event.sequence in self._taken for event in lane) or first is None:
                continue
            if first > now:
                # It came while an earlier one waits for its next try
                await outbox.hold_back(user_id, until=first)
            else:
                # Many of one user's would take the room of the others'
                lanes.append(lane[:_USER_QUEUE])
        return lanes

    async def _send(self, lane: list[Event], bodies: list[str], *, probe: bool) -> None:
        """One after the other, as far as the first that fails."""
        settled = 0
        try:
            for event, body in zip(lane, bodies, strict=True):
                async with self._slots:
                    if not self._may_send(probe=probe):
                        return
                    failure = await self._team.post(str(event.id), body)
                settled += 1
                if failure is not None:
                    self._results.failed(event, failure)
                    return
                self._results.acknowledged(event)
        finally:
            self._taken.difference_update(event.sequence for event in lane[settled:])

    def _left(self, task: asyncio.Task[None]) -> None:
        self._lanes.discard(task)
        self._ctx.events_wait.set()
        if not task.cancelled() and (error := task.exception()):
            observability.deliveries_stalled(error)

    async def _count(self) -> None:
        if monotonic() - self._counted_at < _COUNT_SECONDS:
            return
        self._counted_at = monotonic()
        due = await outbox.count_due(now=self._ctx.clock(), most=_MOST_COUNTED)
        metrics.OUTBOX.set(due)
        breaker = outbox.breaker(await outbox.receiver())
        metrics.STOPPED.set(breaker is not None and breaker.is_stopped)
