"""Show operators the state of deliveries, and let them resume, replay and follow events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from referral.context import Context
from referral.storage.models import Event
from referral.webhooks import outbox, payloads, retry
from referral.webhooks.retry import CircuitBreaker

_REPLAY_BATCH = 5000
_PAGE = 500
# How far below the highest sequence new events may appear: an event gets its sequence when it is
# written, but others see it only after the commit
_LOOK_BACK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStatus:
    """The state of deliveries."""

    waiting: int
    oldest: datetime | None
    """When the oldest of the waiting events happened."""
    next_attempt_at: datetime | None
    acknowledged: int
    """How many in the last hour."""
    given_up: int
    """How many of the events that are kept."""
    failing_since: datetime | None
    is_stopped: bool
    """Whether a 410 has stopped deliveries."""
    error: str | None
    """Why the last failed attempt failed, at `failed_at`."""
    failed_at: datetime | None


async def status(ctx: Context) -> DeliveryStatus:
    now, state = ctx.clock(), await outbox.endpoint_state()
    oldest, due = await outbox.oldest_waiting(now=now), await outbox.next_due()
    breaker = outbox.breaker_of(state)
    return DeliveryStatus(
        waiting=await outbox.count_waiting(now=now),
        oldest=oldest.at if oldest else None,
        next_attempt_at=_next_attempt_at(due, breaker),
        acknowledged=await outbox.count_finished(since=now - timedelta(hours=1), given_up=False),
        given_up=await outbox.count_finished(since=now - retry.KEEP_FINISHED, given_up=True),
        failing_since=breaker.failing_since if breaker else None,
        is_stopped=breaker is not None and breaker.is_stopped,
        error=state.error if state else None,
        failed_at=state.failed_at if state else None,
    )


async def resume() -> bool:
    """Resume deliveries that a 410 has stopped; return whether they were stopped."""
    return await outbox.resume()


async def replay(ctx: Context, *, since: datetime | None, event_type: str | None) -> int:
    """Send finished events again, with the same ids; return how many.

    since: only events that happened then or later. event_type: only events of this type.
    """
    now = ctx.clock()
    since = since or datetime.fromtimestamp(0, UTC)
    sequences: list[int] = []
    replayed = 0
    while True:
        sequences = await outbox.replay(
            since=since,
            event_type=event_type,
            after=max(sequences, default=0),
            now=now,
            limit=_REPLAY_BATCH,
        )
        replayed += len(sequences)
        if len(sequences) < _REPLAY_BATCH:
            return replayed


async def latest(limit: int) -> list[tuple[Event, str]]:
    """Return the newest events, the oldest of them first, each with its body."""
    return await _with_bodies(await outbox.newest(limit))


async def follow(seen: Iterable[int]) -> AsyncIterator[list[tuple[Event, str]]]:
    """Yield new events with their bodies, each event once, forever.

    seen: the sequences of events that are not new; if it is empty, all that exist now. Yields an
    empty list whenever there is no new event.
    """
    known = set(seen) or {event.sequence for event in await outbox.newest(_LOOK_BACK)}
    while True:
        floor = max(known, default=0)
        known = {sequence for sequence in known if sequence >= floor - _LOOK_BACK}
        found = await outbox.after(max(0, min(known, default=0) - 1), limit=len(known) + _PAGE)
        new = [event for event in found if event.sequence not in known]
        known.update(event.sequence for event in new)
        yield await _with_bodies(new)


def _next_attempt_at(due: datetime | None, breaker: CircuitBreaker | None) -> datetime | None:
    if due is None or breaker is None:
        return due
    return max(due, breaker.probe_at) if breaker.probe_at else None


async def _with_bodies(events: list[Event]) -> list[tuple[Event, str]]:
    bodies = await payloads.bodies(events)
    return [(event, bodies[event.sequence]) for event in events]
