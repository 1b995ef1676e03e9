"""Deliver events to the webhook endpoint, in every web process or in `referral worker`.

Only the process that holds the lease delivers. It starts no attempt that could still be running
when the lease expires, so two processes never deliver at the same time. If it dies, another one
takes over once the lease has expired, and repeats the attempts whose outcomes were not saved:
delivery is at least once, with the same id.

The events of a user are sent one after another, in the order they happened: each user has a queue.
The queues of different users run concurrently. webhooks/retry.py has the rules for failures.
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
from weakref import WeakValueDictionary

from referral import observability
from referral.context import Context
from referral.core import ids
from referral.observability import metrics
from referral.storage import database, leases
from referral.storage.models import Event
from referral.webhooks import outbox, payloads, retry
from referral.webhooks.recorder import Recorder

if TYPE_CHECKING:
    from referral.webhooks.client import EndpointClient

_LEASE = "webhooks"
_LEASE_DURATION = timedelta(seconds=25)
_RENEW_EVERY = timedelta(seconds=5)
# At least this long lies between the time-out of an attempt and the end of the lease
_MARGIN_SECONDS = 2
_POLL_SECONDS = 1
# How often a process without the lease tries to acquire it
_STANDBY_SECONDS = 3
# Between two rounds, so that one transaction saves many outcomes
_PACE_SECONDS = 0.1
_MAX_CONCURRENT = 20
_MAX_CLAIMED = 300
# Events of one user in a round, so that they do not crowd out those of others
_MAX_QUEUE_LENGTH = 20
# How often the metrics are set
_COUNT_SECONDS = 10
_MAX_COUNTED = 100_000
_SHUTDOWN_SECONDS = 5


@asynccontextmanager
async def running(ctx: Context) -> AsyncIterator[None]:
    """Deliver events until the block ends. Do nothing if there is no endpoint."""
    if ctx.endpoint is None:
        yield
        return
    # Imported here, since it imports httpx, which takes 4 MB and 30 ms
    from referral.webhooks.client import EndpointClient  # noqa: PLC0415 - see above

    async with EndpointClient(
        ctx.endpoint, clock=ctx.clock, max_connections=_MAX_CONCURRENT
    ) as client:
        dispatcher = _Dispatcher(ctx, client)
        task = asyncio.create_task(dispatcher.run())
        try:
            yield
        finally:
            dispatcher.stopping.set()
            ctx.wake_dispatcher.set()
            await task


class _Dispatcher:
    """The dispatcher of one process, which delivers while it holds the lease."""

    def __init__(self, ctx: Context, client: EndpointClient) -> None:
        self._ctx = ctx
        self._client = client
        self._id = ids.new(ctx.token_bytes)
        self._held_until = ctx.clock()
        self._queues: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        self._entry_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # The sequences of events that are in a queue, or whose outcomes are not saved yet
        self._claimed: set[int] = set()
        self._recorder = Recorder(clock=ctx.clock, on_saved=self._claimed.difference_update)
        self._counted_at = -float(_COUNT_SECONDS)
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        while not self.stopping.is_set():
            holds_lease = False
            try:
                # Shielded from cancellation in the middle of a statement
                holds_lease = await database.shielded(self._round())
            except Exception as error:  # noqa: BLE001 - the next round may succeed
                observability.dispatch_failed(error)
            await self._pause(holds_lease=holds_lease)
        await self._shut_down()

    async def _round(self) -> bool:
        """Save outcomes and start queues; return whether this process holds the lease."""
        await self._count()
        if not await self._keep_lease():
            return False
        self._ctx.wake_dispatcher.clear()
        await self._recorder.save()
        await self._recorder.check_resumed()
        await self._start_queues()
        return True

    async def _pause(self, *, holds_lease: bool) -> None:
        wake = self._ctx.wake_dispatcher if holds_lease else self.stopping
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS if holds_lease else _STANDBY_SECONDS):
                await wake.wait()
        if not self.stopping.is_set():
            await asyncio.sleep(_PACE_SECONDS)

    async def _shut_down(self) -> None:
        """Let running attempts end, save their outcomes, and release the lease."""
        if self._queues:
            await asyncio.wait(self._queues, timeout=_SHUTDOWN_SECONDS)
        hanging = list(self._queues)
        for queue in hanging:
            queue.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        with suppress(database.Unavailable):
            await self._recorder.save()
            # The endpoint may still be handling a cancelled attempt: then the lease has to expire
            # before another process starts
            if not hanging:
                await leases.release(_LEASE, self._id)

    async def _keep_lease(self) -> bool:
        """Acquire the lease, or renew it if that is due. Return whether it is held."""
        now = self._ctx.clock()
        held = self._held_until > now
        if self._held_until - now > _LEASE_DURATION - _RENEW_EVERY:
            return True
        until = now + _LEASE_DURATION
        if not await leases.acquire(_LEASE, self._id, now=now, until=until):
            self._held_until = now
            return False
        if not held and not self._queues:
            await self._recorder.load_breaker()
        self._held_until = until
        return True

    def _may_send(self, *, probe: bool) -> bool:
        """Return whether an attempt may start, given the lease, the breaker and a shutdown."""
        left = (self._held_until - self._ctx.clock()).total_seconds()
        in_time = left > retry.TIMEOUT_SECONDS + _MARGIN_SECONDS
        breaker = self._recorder.breaker
        closed = breaker is None or (probe and not breaker.is_stopped)
        return in_time and closed and not self.stopping.is_set()

    async def _start_queues(self) -> None:
        """Start a queue for each user with due events, or one probe if the breaker is open."""
        now, breaker = self._ctx.clock(), self._recorder.breaker
        if breaker is not None and (
            self._queues or breaker.probe_at is None or now < breaker.probe_at
        ):
            return
        if len(self._claimed) >= _MAX_CLAIMED:
            return
        found = await outbox.due(now=now, limit=_MAX_CLAIMED + len(self._claimed))
        queues = [
            [event]
            for event in found
            if event.user_id is None and event.sequence not in self._claimed
        ]
        queues += await self._user_queues({event.user_id for event in found if event.user_id}, now)
        queues.sort(key=lambda queue: (queue[0].next_attempt_at, queue[0].sequence))
        probe = self._recorder.breaker is not None
        if probe:
            del queues[1:]
        bodies = await payloads.bodies(event for queue in queues for event in queue)
        for queue in queues:
            self._claimed.update(event.sequence for event in queue)
            sending = self._send(queue, [bodies[event.sequence] for event in queue], probe=probe)
            task = asyncio.create_task(sending)
            self._queues.add(task)
            task.add_done_callback(self._queue_ended)

    async def _user_queues(self, user_ids: set[UUID], now: datetime) -> list[list[Event]]:
        """Return a queue for each user whose first event is due and who has no claimed event."""
        waiting: dict[UUID, list[Event]] = defaultdict(list)
        for event in await outbox.waiting(user_ids, limit=2 * _MAX_CLAIMED + len(self._claimed)):
            if event.user_id is not None:
                waiting[event.user_id].append(event)
        queues = []
        for user_id, events in waiting.items():
            first_due = events[0].next_attempt_at
            if first_due is None or any(event.sequence in self._claimed for event in events):
                continue
            if first_due > now:
                # A later event is due while the first one waits for its next attempt
                await outbox.postpone(user_id, until=first_due)
            else:
                queues.append(events[:_MAX_QUEUE_LENGTH])
        return queues

    async def _send(self, queue: list[Event], bodies: list[str], *, probe: bool) -> None:
        """Send one event after another, up to the first that fails."""
        attempted = 0
        try:
            for event, body in zip(queue, bodies, strict=True):
                async with self._entry_lock(event), self._slots:
                    if not self._may_send(probe=probe):
                        return
                    if await payloads.is_withdrawn(event, now=self._ctx.clock()):
                        await outbox.acknowledge([event.sequence], now=self._ctx.clock())
                        return
                    failure = await self._client.post(str(event.id), body)
                attempted += 1
                if failure is not None:
                    self._recorder.record_failed(event, failure)
                    return
                self._recorder.record_acknowledged(event)
        finally:
            self._claimed.difference_update(event.sequence for event in queue[attempted:])

    def _entry_lock(self, event: Event) -> asyncio.Lock:
        """Return a lock that keeps the events of one entry of the ledger apart.

        `reward.available` is in no user's queue, and must not arrive after `reward.reversed`.
        """
        entry_id = payloads.entry_id(event)
        return self._entry_locks.setdefault(entry_id or str(event.id), asyncio.Lock())

    def _queue_ended(self, task: asyncio.Task[None]) -> None:
        self._queues.discard(task)
        self._ctx.wake_dispatcher.set()
        if not task.cancelled() and (error := task.exception()):
            observability.dispatch_failed(error)

    async def _count(self) -> None:
        """Set the metrics, at most every _COUNT_SECONDS."""
        if monotonic() - self._counted_at < _COUNT_SECONDS:
            return
        self._counted_at = monotonic()
        metrics.OUTBOX_EVENTS.set(await outbox.count_due(now=self._ctx.clock(), limit=_MAX_COUNTED))
        breaker = outbox.breaker_of(await outbox.endpoint_state())
        metrics.WEBHOOKS_STOPPED.set(breaker is not None and breaker.is_stopped)
