"""Queries for events, and for the invitees who qualify by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from referral.rewards.rules import Rule
from referral.storage import database
from referral.storage.models import CountedEvent, Qualifier, RewardEvent

_ADD = """
    INSERT INTO reward_events (
        id, digest, type, user_id, activation_id, occurred_at, created_at
    ) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""
_QUALIFY = """
    INSERT INTO qualifiers (rule, user_id, activation_id) VALUES ($1, $2, $3)
    ON CONFLICT (rule, activation_id) DO NOTHING
    RETURNING id
"""
_NEWEST_QUALIFIERS = """
    SELECT activation_id FROM qualifiers WHERE user_id = $1 AND rule = $2
    ORDER BY id DESC LIMIT $3
"""


class NewEvent(Struct, frozen=True, kw_only=True):
    """An event to add. digest: None for an activation. activation_id: see models.RewardEvent."""

    id: str
    digest: str | None
    type: str
    user_id: UUID
    activation_id: int | None
    occurred_at: datetime


async def find(event_id: str) -> RewardEvent | None:
    return await RewardEvent.get_or_none(id=event_id)


async def add(event: NewEvent, *, now: datetime) -> bool:
    """Add an event. Return False if there is one with this id."""
    values = (event.id, event.digest, event.type, event.user_id, event.activation_id)
    return bool(await database.query(_ADD, *values, event.occurred_at, now))


async def reverse(event_id: str, *, reason: str, now: datetime) -> bool:
    """Mark an event as reversed. Return False if it is already."""
    rows = RewardEvent.filter(id=event_id, reversed_at__isnull=True)
    return bool(await rows.update(reversed_at=now, reason=reason))


async def count_for(event: NewEvent, rules: Sequence[Rule]) -> None:
    """Record that an event counts for these rules, which look at invitees."""
    await CountedEvent.bulk_create(
        CountedEvent(
            event_id=event.id,
            rule=rule.name,
            version=rule.version,
            activation_id=event.activation_id,
            occurred_at=event.occurred_at,
        )
        for rule in rules
    )


async def counted(event_id: str) -> list[CountedEvent]:
    """Return for which rules an event counts. Empty once it is reversed or voided."""
    return await CountedEvent.filter(event_id=event_id, stands=True).order_by("rule")


async def withdraw(event_id: str) -> None:
    """Let an event count no more."""
    await CountedEvent.filter(event_id=event_id).update(stands=False)


async def withdraw_all(activation_id: int) -> None:
    """Let no event under an activation count any more."""
    await CountedEvent.filter(activation_id=activation_id, stands=True).update(stands=False)


async def oldest_standing(activation_id: int, rule: str) -> CountedEvent | None:
    """Return the oldest event by which an invitee qualifies for a rule, if there is one."""
    rows = CountedEvent.filter(activation_id=activation_id, rule=rule, stands=True)
    return await rows.order_by("occurred_at", "id").first()


async def qualify(rule: str, inviter_id: UUID, activation_id: int) -> bool:
    """Add an invitee to those who qualify for a milestone. Return False if they did already."""
    return bool(await database.query(_QUALIFY, rule, inviter_id, activation_id))


async def disqualify(activation_id: int, *, rules: Iterable[str] | None = None) -> list[str]:
    """Remove an invitee from those who qualify for milestones.

    rules: None for all. Return the names of the rules for which the invitee qualified.
    """
    rows = Qualifier.filter(activation_id=activation_id)
    if rules is not None:
        rows = rows.filter(rule__in=list(rules))
    found = [str(each) for each in await rows.order_by("rule").values_list("rule", flat=True)]
    if found:
        await rows.delete()
    return found


async def newest_qualifiers(inviter_id: UUID, rule: str, number: int) -> list[int]:
    """Return the activations of the invitees who qualified last."""
    rows = await database.query(_NEWEST_QUALIFIERS, inviter_id, rule, number)
    return [row["activation_id"] for row in rows]
