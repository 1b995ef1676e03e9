"""Queries about events on their way to the team's receiver."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from referral.storage import database, purge
from referral.storage.models import Event, ReceiverState
from referral.webhooks.retry import Outage

_RECEIVER = "webhooks"

_COUNT = "SELECT count(*) AS number FROM (SELECT 1 FROM outbox WHERE due_at <= $1 LIMIT $2) AS due"
# What is asked for in a subquery is asked a second time, of the row as it is once its lock is had
_GIVE_UP = """
    UPDATE outbox SET due_at = NULL, done_at = $1, error = $2 WHERE place IN (
        SELECT place FROM outbox WHERE due_at <= $3 LIMIT $4
    )
    AND due_at <= $3
    RETURNING place
"""
_REPLAY = """
    UPDATE outbox
    SET due_at = $1, done_at = NULL, tries = 0, first_tried_at = NULL, error = NULL
    WHERE place IN (
        SELECT place FROM outbox WHERE place > $2 AND done_at IS NOT NULL AND at >= $3{type}
        ORDER BY place LIMIT $4
    )
    AND done_at IS NOT NULL
    RETURNING place
"""


async def add(events: Iterable[Event]) -> None:
    await Event.bulk_create(events)


async def due(*, now: datetime, limit: int) -> list[Event]:
    """Those to be tried now, the longest due first."""
    return await Event.filter(due_at__lte=now).order_by("due_at", "place").limit(limit)


async def waiting(user_ids: Collection[UUID], *, limit: int) -> list[Event]:
    """Everything that waits of these users, due or not, in the order in which it happened."""
    rows = Event.filter(user_id__in=list(user_ids), due_at__isnull=False)
    return await rows.order_by("place").limit(limit)


async def acknowledge(places: Collection[int], *, now: datetime) -> None:
    await Event.filter(place__in=list(places), due_at__isnull=False).update(
        due_at=None, done_at=now, error=None
    )


async def fail(event: Event, error: str, *, first: datetime, due: datetime) -> None:
    """Keep an event for its next try."""
    await Event.filter(place=event.place, due_at__isnull=False).update(
        tries=event.tries + 1, first_tried_at=first, error=error, due_at=due
    )


async def give_up(event: Event, error: str, *, now: datetime) -> None:
    await Event.filter(place=event.place, due_at__isnull=False).update(
        tries=event.tries + 1, error=error, due_at=None, done_at=now
    )


async def give_up_since(due: datetime, error: str, *, now: datetime, most: int) -> int:
    """Give up what has been due since then or longer; answers how many."""
    return len(await database.query(_GIVE_UP, now, error, due, most))


async def hold_back(user_id: UUID, *, until: datetime) -> None:
    """What waits of a user waits until then at least."""
    await Event.filter(user_id=user_id, due_at__lt=until).update(due_at=until)


async def count_due(*, now: datetime, most: int) -> int:
    """How many wait and are due; `most` where there are more."""
    (row,) = await database.query(_COUNT, now, most)
    number: int = row["number"]
    return number


async def count_waiting() -> int:
    return await Event.filter(due_at__isnull=False).count()


async def count_done(*, since: datetime, given_up: bool) -> int:
    return await Event.filter(done_at__gte=since, error__isnull=not given_up).count()


async def oldest_waiting() -> Event | None:
    return await Event.filter(due_at__isnull=False).order_by("place").first()


async def next_due() -> datetime | None:
    event = await Event.filter(due_at__isnull=False).order_by("due_at", "place").first()
    return event.due_at if event else None


async def newest(limit: int) -> list[Event]:
    """The newest, oldest of them first."""
    return (await Event.all().order_by("-place").limit(limit))[::-1]


async def following(place: int, *, limit: int) -> list[Event]:
    return await Event.filter(place__gt=place).order_by("place").limit(limit)


async def replay(
    *, since: datetime, kind: str | None, after: int, now: datetime, most: int
) -> list[int]:
    """Put events that are over back into the queue; answers their places, `most` at a time.

    after: the last place of the time before, or 0.
    """
    values: list[Any] = [now, after, since, most, *([kind] if kind else [])]
    sql = _REPLAY.format(type=" AND type = $5" if kind else "")
    return [row["place"] for row in await database.query(sql, *values)]


async def forget(*, before: datetime, most: int) -> int:
    """Delete what was over by then; answers how many, `most` at a time."""
    return await purge.some("outbox", "place", before, over="done_at < $1", most=most)


async def receiver() -> ReceiverState | None:
    return await ReceiverState.get_or_none(name=_RECEIVER)


async def save_receiver(
    outage: Outage | None, *, error: str | None, failed_at: datetime | None
) -> None:
    await ReceiverState.update_or_create(
        name=_RECEIVER,
        defaults={
            "away_since": outage.since if outage else None,
            "failures": outage.failures if outage else 0,
            "until": outage.until if outage else None,
            # Without a new failure, the last one stays
            **({"error": error, "failed_at": failed_at} if failed_at else {}),
        },
    )


async def end_stop() -> bool:
    """End a stop; whether there was one."""
    stopped = ReceiverState.filter(name=_RECEIVER, away_since__isnull=False, until__isnull=True)
    return bool(await stopped.update(away_since=None, failures=0))


def outage(state: ReceiverState | None) -> Outage | None:
    """The outage that was saved, if it lasts. Without `until`, it lasts until it is ended."""
    if state is None or state.away_since is None:
        return None
    return Outage(state.away_since, state.failures, state.until)
