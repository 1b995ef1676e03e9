"""Events for the team's receiver: what they say, and what an operator sees of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from referral.context import Context
from referral.storage import users
from referral.storage.models import Event, User
from referral.webhooks import outbox, retry
from referral.webhooks.retry import CircuitBreaker

_AT_ONCE = 5000
_PAGE = 500
# A transaction that began earlier may be committed later, with a sequence that lies before others
_LOOK_BACK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How the deliveries go."""

    waiting: int
    oldest: datetime | None
    """When the one happened that waits longest."""
    next_attempt_at: datetime | None
    acknowledged: int
    """In the last hour."""
    given_up: int
    """Of those that are kept."""
    failing_since: datetime | None
    is_stopped: bool
    """Whether nothing is sent until somebody resumes it."""
    error: str | None
    failed_at: datetime | None


async def bodies(events: Iterable[Event]) -> dict[int, str]:
    """What a receiver gets, by sequence: JSON of `type`, `timestamp` and `data`.

    With the phones that the users have now: a deleted user's is null.
    """
    events = list(events)
    stored = {event.sequence: json.loads(event.data) for event in events}
    ids = {event.user_id for event in events if event.user_id is not None}
    ids |= {UUID(data["inviter_id"]) for data in stored.values() if "inviter_id" in data}
    known = await users.find_all(ids)
    return {
        event.sequence: msgspec.json.encode(
            {
                "type": event.type,
                "timestamp": event.at,
                "data": _data(event, stored[event.sequence], known),
            }
        ).decode()
        for event in events
    }


async def status(ctx: Context) -> Status:
    now, state = ctx.clock(), await outbox.receiver()
    oldest, due = await outbox.oldest_waiting(), await outbox.next_due()
    breaker = outbox.breaker(state)
    return Status(
        waiting=await outbox.count_waiting(),
        oldest=oldest.at if oldest else None,
        next_attempt_at=_next_attempt_at(due, breaker),
        acknowledged=await outbox.count_done(since=now - timedelta(hours=1), given_up=False),
        given_up=await outbox.count_done(since=now - retry.KEEP_FINISHED, given_up=True),
        failing_since=breaker.since if breaker else None,
        is_stopped=breaker is not None and breaker.is_stopped,
        error=state.error if state else None,
        failed_at=state.failed_at if state else None,
    )


async def resume() -> bool:
    """Send events again after a 410; whether they were stopped."""
    return await outbox.end_stop()


async def replay(ctx: Context, *, since: datetime | None, kind: str | None) -> int:
    """Put events that were acknowledged or given up back into the queue; answers how many.

    They keep their ids. since: of what happened then or later. kind: of this type alone.
    """
    now = ctx.clock()
    since = since or now - 2 * retry.KEEP_FINISHED
    sequences: list[int] = []
    replayed = 0
    while True:
        sequences = await outbox.replay(
            since=since, kind=kind, after=max(sequences, default=0), now=now, most=_AT_ONCE
        )
        replayed += len(sequences)
        if len(sequences) < _AT_ONCE:
            return replayed


async def latest(limit: int) -> list[tuple[Event, str]]:
    """The newest events, oldest of them first, and what is told of them."""
    return await _told(await outbox.newest(limit))


async def follow(seen: Iterable[int]) -> AsyncIterator[list[tuple[Event, str]]]:
    """What comes after the sequences seen, each once; an empty list where nothing has come."""
    known = set(seen) or {event.sequence for event in await outbox.newest(_LOOK_BACK)}
    while True:
        floor = max(known, default=0)
        known = {sequence for sequence in known if sequence >= floor - _LOOK_BACK}
        found = await outbox.following(max(0, min(known, default=0) - 1), limit=len(known) + _PAGE)
        fresh = [event for event in found if event.sequence not in known]
        known.update(event.sequence for event in fresh)
        yield await _told(fresh)


def _next_attempt_at(due: datetime | None, breaker: CircuitBreaker | None) -> datetime | None:
    if due is None or breaker is None:
        return due
    return max(due, breaker.until) if breaker.until else None


async def _told(events: list[Event]) -> list[tuple[Event, str]]:
    told = await bodies(events)
    return [(event, told[event.sequence]) for event in events]


def _data(event: Event, stored: dict[str, Any], known: dict[UUID, User]) -> dict[str, Any]:
    """As docs/webhooks.md lists it."""
    if event.user_id is None:
        return stored
    user = known.get(event.user_id)
    about = {"user_id": str(event.user_id), "phone": user.phone if user else None}
    match event.type:
        case "user.created":
            return about | {
                "invite_code": user.invite_code if user else None,
                "created_at": user.created_at if user else event.at,
            }
        case "user.deleted":
            del about["phone"]
            return about
        case "invite.activated" | "invite.voided":
            inviter = known.get(UUID(stored["inviter_id"]))
            return about | stored | {"inviter_phone": inviter.phone if inviter else None}
        case _:
            return about | stored
