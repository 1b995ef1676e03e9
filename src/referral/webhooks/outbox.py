"""Queries for the outbox, which holds the events, and for the state of the endpoint.

An event waits while `next_attempt_at` is set, and is finished once `finished_at` is: acknowledged,
or given up if it has an `error`. Updates check this again, so that an event that was replayed or
given up in the meantime stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from tortoise.queryset import QuerySet

from referral.storage import database
from referral.storage.models import EndpointState, Event
from referral.storage.purging import delete_batch
from referral.webhooks.retry import CircuitBreaker

_ENDPOINT = "webhooks"

_COUNT_DUE = """
    SELECT count(*) AS number
    FROM (SELECT 1 FROM outbox WHERE next_attempt_at <= $1 LIMIT $2) AS due
"""
# The subquery's condition is repeated outside, where PostgreSQL evaluates it again for a row that
# has changed while this statement waited for its lock
_GIVE_UP = """
    UPDATE outbox SET next_attempt_at = NULL, finished_at = $1, error = $2 WHERE sequence IN (
        SELECT sequence FROM outbox WHERE next_attempt_at <= $3 LIMIT $4
    )
    AND next_attempt_at <= $3
    RETURNING sequence
"""
_SEND_AGAIN = """
    UPDATE outbox
    SET next_attempt_at = $1, finished_at = NULL, attempts = 0, first_attempt_at = NULL,
        error = NULL
"""
_REPLAY_ONE = f"{_SEND_AGAIN} WHERE sequence = $2 AND finished_at IS NOT NULL RETURNING sequence"
_REPLAY = """
    WHERE sequence IN (
        SELECT sequence FROM outbox
        WHERE sequence > $2 AND finished_at IS NOT NULL AND at >= $3{type}
        ORDER BY sequence LIMIT $4
    )
    AND finished_at IS NOT NULL
    RETURNING sequence
"""


async def add(events: Iterable[Event]) -> None:
    await Event.bulk_create(events)


async def due(*, now: datetime, limit: int) -> list[Event]:
    """Return the events to attempt now, those that have been due for longest first."""
    return (
        await Event.filter(next_attempt_at__lte=now)
        .order_by("next_attempt_at", "sequence")
        .limit(limit)
    )


async def waiting(user_ids: Collection[UUID], *, limit: int) -> list[Event]:
    """Return the waiting events of these users, due or not, in the order they happened."""
    rows = _waiting(user_id__in=list(user_ids))
    return await rows.order_by("sequence").limit(limit)


async def acknowledge(sequences: Collection[int], *, now: datetime) -> None:
    await _waiting(sequence__in=list(sequences)).update(
        next_attempt_at=None, finished_at=now, error=None
    )


async def fail(
    event: Event, error: str, *, first_attempt_at: datetime, next_attempt_at: datetime
) -> None:
    """Save a failed attempt of an event that will be attempted again."""
    await _waiting(sequence=event.sequence).update(
        attempts=event.attempts + 1,
        first_attempt_at=first_attempt_at,
        error=error,
        next_attempt_at=next_attempt_at,
    )


async def give_up(event: Event, error: str, *, now: datetime) -> None:
    await _waiting(sequence=event.sequence).update(
        attempts=event.attempts + 1, error=error, next_attempt_at=None, finished_at=now
    )


async def give_up_due_since(due: datetime, error: str, *, now: datetime, limit: int) -> int:
    """Give up at most `limit` events that were due at `due` already. Return how many."""
    return len(await database.query(_GIVE_UP, now, error, due, limit))


async def postpone(user_id: UUID, *, until: datetime) -> None:
    """Make every waiting event of a user wait at least until then."""
    await Event.filter(user_id=user_id, next_attempt_at__lt=until).update(next_attempt_at=until)


async def count_due(*, now: datetime, limit: int) -> int:
    """Return how many events are due, or `limit` if there are more."""
    (row,) = await database.query(_COUNT_DUE, now, limit)
    number: int = row["number"]
    return number


async def count_waiting(*, now: datetime) -> int:
    """Return how many events wait that have happened by now."""
    return await _waiting(at__lte=now).count()


async def count_finished(*, since: datetime, given_up: bool) -> int:
    """Return how many events were given up (or else acknowledged) since then."""
    return await Event.filter(finished_at__gte=since, error__isnull=not given_up).count()


async def oldest_waiting(*, now: datetime) -> Event | None:
    """Return the first of the waiting events that have happened by now."""
    return await _waiting(at__lte=now).order_by("sequence").first()


async def next_due() -> datetime | None:
    """Return when the first of the waiting events is due."""
    event = await _waiting().order_by("next_attempt_at", "sequence").first()
    return event.next_attempt_at if event else None


async def newest(limit: int) -> list[Event]:
    """Return the newest events, the oldest of them first."""
    return (await Event.all().order_by("-sequence").limit(limit))[::-1]


async def after(sequence: int, *, limit: int) -> list[Event]:
    """Return the events with a higher sequence, in order."""
    return await Event.filter(sequence__gt=sequence).order_by("sequence").limit(limit)


async def replay(
    *, since: datetime, event_type: str | None, after: int, now: datetime, limit: int
) -> list[int]:
    """Make at most `limit` finished events wait again; return their sequences.

    after: the highest sequence of the previous batch, or 0.
    """
    values: list[Any] = [now, after, since, limit, *([event_type] if event_type else [])]
    sql = _SEND_AGAIN + _REPLAY.format(type=" AND type = $5" if event_type else "")
    return [row["sequence"] for row in await database.query(sql, *values)]


async def get(sequence: int) -> Event | None:
    return await Event.get_or_none(sequence=sequence)


async def replay_one(sequence: int, *, now: datetime) -> bool:
    """Make a finished event wait again. Return False if it is not finished."""
    return bool(await database.query(_REPLAY_ONE, now, sequence))


async def purge(*, before: datetime, batch_size: int) -> int:
    """Delete at most `batch_size` events that were finished before then; return how many."""
    return await delete_batch(
        "outbox", "sequence", before, where="finished_at < $1", batch_size=batch_size
    )


async def endpoint_state() -> EndpointState | None:
    return await EndpointState.get_or_none(name=_ENDPOINT)


async def save_endpoint_state(
    breaker: CircuitBreaker | None, *, error: str | None, failed_at: datetime | None
) -> None:
    """Save the breaker and the last failure. failed_at: None keeps the failure that is saved."""
    await EndpointState.update_or_create(
        name=_ENDPOINT,
        defaults={
            "failing_since": breaker.failing_since if breaker else None,
            "failures": breaker.failures if breaker else 0,
            "next_attempt_at": breaker.probe_at if breaker else None,
            **({"error": error, "failed_at": failed_at} if failed_at else {}),
        },
    )


async def resume() -> bool:
    """Close the breaker if a 410 has stopped deliveries. Return whether it had."""
    stopped = EndpointState.filter(
        name=_ENDPOINT, failing_since__isnull=False, next_attempt_at__isnull=True
    )
    return bool(await stopped.update(failing_since=None, failures=0))


def breaker_of(state: EndpointState | None) -> CircuitBreaker | None:
    """Return the saved breaker, or None if it is closed."""
    if state is None or state.failing_since is None:
        return None
    return CircuitBreaker(state.failing_since, state.failures, state.next_attempt_at)


def _waiting(**conditions: object) -> QuerySet[Event]:
    return Event.filter(next_attempt_at__isnull=False, **conditions)
