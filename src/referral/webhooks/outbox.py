"""Queries about events on their way to the team's receiver."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from referral.storage import database
from referral.storage.models import EndpointState, Event
from referral.storage.purging import delete_batch
from referral.webhooks.retry import CircuitBreaker

_RECEIVER = "webhooks"

_COUNT = """
    SELECT count(*) AS number
    FROM (SELECT 1 FROM outbox WHERE next_attempt_at <= $1 LIMIT $2) AS due
"""
# What is asked for in a subquery is asked a second time, of the row as it is once its lock is had
_GIVE_UP = """
    UPDATE outbox SET next_attempt_at = NULL, finished_at = $1, error = $2 WHERE sequence IN (
        SELECT sequence FROM outbox WHERE next_attempt_at <= $3 LIMIT $4
    )
    AND next_attempt_at <= $3
    RETURNING sequence
"""
_REPLAY = """
    UPDATE outbox
    SET next_attempt_at = $1, finished_at = NULL, attempts = 0, first_attempt_at = NULL,
        error = NULL
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
    """Those to be tried now, the longest due first."""
    return (
        await Event.filter(next_attempt_at__lte=now)
        .order_by("next_attempt_at", "sequence")
        .limit(limit)
    )


async def waiting(user_ids: Collection[UUID], *, limit: int) -> list[Event]:
    """Everything that waits of these users, due or not, in the order in which it happened."""
    rows = Event.filter(user_id__in=list(user_ids), next_attempt_at__isnull=False)
    return await rows.order_by("sequence").limit(limit)


async def acknowledge(sequences: Collection[int], *, now: datetime) -> None:
    await Event.filter(sequence__in=list(sequences), next_attempt_at__isnull=False).update(
        next_attempt_at=None, finished_at=now, error=None
    )


async def fail(event: Event, error: str, *, first: datetime, due: datetime) -> None:
    """Keep an event for its next try."""
    await Event.filter(sequence=event.sequence, next_attempt_at__isnull=False).update(
        attempts=event.attempts + 1, first_attempt_at=first, error=error, next_attempt_at=due
    )


async def give_up(event: Event, error: str, *, now: datetime) -> None:
    await Event.filter(sequence=event.sequence, next_attempt_at__isnull=False).update(
        attempts=event.attempts + 1, error=error, next_attempt_at=None, finished_at=now
    )


async def give_up_since(due: datetime, error: str, *, now: datetime, most: int) -> int:
    """Give up what has been due since then or longer; answers how many."""
    return len(await database.query(_GIVE_UP, now, error, due, most))


async def hold_back(user_id: UUID, *, until: datetime) -> None:
    """What waits of a user waits until then at least."""
    await Event.filter(user_id=user_id, next_attempt_at__lt=until).update(next_attempt_at=until)


async def count_due(*, now: datetime, most: int) -> int:
    """How many wait and are due; `most` where there are more."""
    (row,) = await database.query(_COUNT, now, most)
    number: int = row["number"]
    return number


async def count_waiting() -> int:
    return await Event.filter(next_attempt_at__isnull=False).count()


async def count_done(*, since: datetime, given_up: bool) -> int:
    return await Event.filter(finished_at__gte=since, error__isnull=not given_up).count()


async def oldest_waiting() -> Event | None:
    return await Event.filter(next_attempt_at__isnull=False).order_by("sequence").first()


async def next_due() -> datetime | None:
    event = (
        await Event.filter(next_attempt_at__isnull=False)
        .order_by("next_attempt_at", "sequence")
        .first()
    )
    return event.next_attempt_at if event else None


async def newest(limit: int) -> list[Event]:
    """The newest, oldest of them first."""
    return (await Event.all().order_by("-sequence").limit(limit))[::-1]


async def following(sequence: int, *, limit: int) -> list[Event]:
    return await Event.filter(sequence__gt=sequence).order_by("sequence").limit(limit)


async def replay(
    *, since: datetime, kind: str | None, after: int, now: datetime, most: int
) -> list[int]:
    """Put events that are over back into the queue; answers their sequences, `most` at a time.

    after: the last sequence of the time before, or 0.
    """
    values: list[Any] = [now, after, since, most, *([kind] if kind else [])]
    sql = _REPLAY.format(type=" AND type = $5" if kind else "")
    return [row["sequence"] for row in await database.query(sql, *values)]


async def purge(*, before: datetime, most: int) -> int:
    """Delete what was over by then; answers how many, `most` at a time."""
    return await delete_batch("outbox", "sequence", before, over="finished_at < $1", most=most)


async def receiver() -> EndpointState | None:
    return await EndpointState.get_or_none(name=_RECEIVER)


async def save_receiver(
    breaker: CircuitBreaker | None, *, error: str | None, failed_at: datetime | None
) -> None:
    await EndpointState.update_or_create(
        name=_RECEIVER,
        defaults={
            "failing_since": breaker.since if breaker else None,
            "failures": breaker.failures if breaker else 0,
            "next_attempt_at": breaker.until if breaker else None,
            # Without a new failure, the last one stays
            **({"error": error, "failed_at": failed_at} if failed_at else {}),
        },
    )


async def end_stop() -> bool:
    """End a stop; whether there was one."""
    stopped = EndpointState.filter(
        name=_RECEIVER, failing_since__isnull=False, next_attempt_at__isnull=True
    )
    return bool(await stopped.update(failing_since=None, failures=0))


def breaker(state: EndpointState | None) -> CircuitBreaker | None:
    """The breaker that was saved, if it lasts. Without `until`, it lasts until it is ended."""
    if state is None or state.failing_since is None:
        return None
    return CircuitBreaker(state.failing_since, state.failures, state.next_attempt_at)
