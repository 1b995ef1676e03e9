"""Queries for the entries of the ledger, their sums and their flags."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from referral.core.reward_status import Kind, Review
from referral.rewards import activation_queries, status_sql
from referral.storage import database, dialect
from referral.storage.models import (
    MilestoneInvitee,
    Redemption,
    RewardEntry,
    RewardTotal,
)

_ADD_TO_TOTAL = """
    INSERT INTO reward_totals (user_id, rule, period, amount, qualifiers)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (user_id, rule, period) DO UPDATE
    SET amount = reward_totals.amount + excluded.amount,
        qualifiers = reward_totals.qualifiers + excluded.qualifiers
"""
_ADD_TO_BALANCE = """
    INSERT INTO reward_balances (user_id, unit, amount) VALUES ($1, $2, $3)
    ON CONFLICT (user_id, unit) DO UPDATE SET amount = reward_balances.amount + excluded.amount
"""
_REVERSE = """
    UPDATE reward_entries SET reversed_at = $1 WHERE id IN ({ids})
    RETURNING CAST(id AS TEXT) AS id, review
"""
BALANCES = f"""
    SELECT unit, amount, COALESCE((
        SELECT CAST(sum(entries.amount) AS BIGINT) FROM reward_entries AS entries
        WHERE entries.user_id = $1 AND entries.unit = reward_balances.unit
        AND {status_sql.condition("pending", now="$2")}
    ), 0) AS pending
    FROM reward_balances WHERE user_id = $1 ORDER BY unit
"""  # noqa: S608 - only constants

_MILESTONE_FLAGS = """
    SELECT CAST(entry_id AS TEXT) AS entry_id, flags
    FROM milestone_invitees JOIN activations ON activations.id = activation_id
    WHERE entry_id IN ({ids}) AND flags <> ''
"""

# Both databases take at most 32,766 values in a statement
_MAX_IDS = 1000

SubjectKey = tuple[UUID, str, str]
"""The user, the rule and the subject of an entry."""


class Balance(Struct, frozen=True, kw_only=True):
    """The sums of a user's entries in one unit."""

    unit: str
    available: int
    pending: int


async def get(entry_id: UUID) -> RewardEntry | None:
    return await RewardEntry.exclude(kind=Kind.CAPPED).get_or_none(id=entry_id)


async def made_by(operation: str) -> list[RewardEntry]:
    """Return the entries that an operation on an event made: reversals first, then by rule."""
    rows = RewardEntry.filter(made_by=operation).exclude(kind=Kind.CAPPED)
    return await rows.order_by("-kind", "rule", "id")


async def add(entries: Sequence[RewardEntry]) -> None:
    await RewardEntry.bulk_create(entries)


async def by_subject(keys: Iterable[SubjectKey]) -> dict[SubjectKey, list[RewardEntry]]:
    """Return every entry that a rule made for these subjects, also reversed and capped ones."""
    wanted = set(keys)
    if not wanted:
        return {}
    users, rules, subjects = (sorted({key[place] for key in wanted}) for place in range(3))
    rows = await RewardEntry.filter(user_id__in=users, rule__in=rules, subject__in=subjects)
    found = defaultdict(list)
    for row in rows:
        found[row.user_id, str(row.rule), str(row.subject)].append(row)
    return {key: found[key] for key in wanted if key in found}


async def live_of_activation(activation_id: int) -> list[RewardEntry]:
    """Return the entries that a void takes back, without milestones."""
    return await _live(activation_id=activation_id, milestone__isnull=True)


async def not_available_about(user_id: UUID, *, now: datetime) -> list[RewardEntry]:
    """Return the entries about an invitee that are not yet available, without milestones."""
    return await _unavailable(now, about_user_id=user_id, milestone__isnull=True)


async def not_available_of(user_id: UUID, *, now: datetime) -> list[RewardEntry]:
    """Return a beneficiary's entries that are not yet available."""
    return await _unavailable(now, user_id=user_id)


async def mark_reversed(entries: Sequence[RewardEntry], *, now: datetime) -> None:
    """Mark entries as reversed, and note where their review stood.

    A block of the invitee, which does not lock the beneficiary, may have put them in review since
    they were read.
    """
    known = {str(each.id): each for each in entries}
    ids = list(known)
    for start in range(0, len(ids), _MAX_IDS):
        some = ids[start : start + _MAX_IDS]
        marks = dialect.placeholders(len(some), first=2)
        values = (UUID(each) for each in some)
        for row in await database.query(_REVERSE.format(ids=marks), now, *values):
            known[row["id"]].review = row["review"]
            known[row["id"]].reversed_at = now


async def totals(
    user_ids: Iterable[UUID], rules: Iterable[str], periods: Iterable[str]
) -> dict[tuple[UUID, str, str], RewardTotal]:
    """Return the totals of these users, rules and periods, as far as there are any."""
    rows = await RewardTotal.filter(
        user_id__in=list(user_ids), rule__in=list(rules), period__in=list(periods)
    )
    return {(row.user_id, row.rule, row.period): row for row in rows}


async def add_to_totals(
    amounts: Mapping[tuple[UUID, str, str], int], *, qualifiers: int = 0
) -> None:
    """Add to totals, by user, rule and period."""
    rows = [(*key, amount, qualifiers) for key, amount in sorted(amounts.items())]
    if rows:
        await database.query_many(_ADD_TO_TOTAL, rows)


async def add_to_balances(amounts: Mapping[tuple[UUID, str], int]) -> None:
    """Add to balances, by user and unit."""
    if rows := [(*key, amount) for key, amount in sorted(amounts.items()) if amount]:
        await database.query_many(_ADD_TO_BALANCE, rows)


async def balances(user_id: UUID, *, now: datetime) -> list[Balance]:
    """Return a user's balances, by unit. A unit in which nothing was earned is missing."""
    rows = await database.query(BALANCES, user_id, now)
    return [
        Balance(unit=row["unit"], available=row["amount"] - row["pending"], pending=row["pending"])
        for row in rows
    ]


async def add_milestone(entry_id: UUID, activation_ids: Iterable[int]) -> None:
    """Record which invitees made a milestone."""
    await MilestoneInvitee.bulk_create(
        MilestoneInvitee(entry_id=entry_id, activation_id=each) for each in activation_ids
    )


async def flags(entries: Sequence[RewardEntry]) -> dict[UUID, list[str]]:
    """Return the sorted flags of entries, by id. Those without any are missing."""
    found: dict[UUID, set[str]] = defaultdict(set)
    for start in range(0, len(entries), _MAX_IDS):
        some = entries[start : start + _MAX_IDS]
        own = {
            each.activation_id
            for each in some
            if each.milestone is None and each.activation_id is not None
        }
        known = await activation_queries.flags(own)
        for each in some:
            if each.milestone is None and each.activation_id in known:
                found[each.id] |= known[each.activation_id]
        for entry_id, names in await _milestone_flags([e.id for e in some if e.milestone]):
            found[entry_id] |= names
    return {entry_id: sorted(names) for entry_id, names in found.items()}


async def set_review(
    entry: RewardEntry, review: Review, *, announcement_id: UUID | None = None
) -> None:
    """Save a decision. announcement_id: the id of the event that announces an approved entry."""
    values: dict[str, Any] = {"review": review}
    if announcement_id is not None:
        values["announcement_id"] = announcement_id
    await RewardEntry.filter(id=entry.id).update(**values)


async def find_redemption(redemption_id: str) -> Redemption | None:
    return await Redemption.get_or_none(id=redemption_id)


async def add_redemption(redemption: Redemption) -> bool:
    """Add a redemption. Return False if there is one with this id."""
    await Redemption.bulk_create([redemption], ignore_conflicts=True)
    return await Redemption.exists(id=redemption.id, entry_id=redemption.entry_id)


async def reverse_redemption(redemption_id: str, *, now: datetime) -> bool:
    """Mark a redemption as reversed. Return False if it is already."""
    rows = Redemption.filter(id=redemption_id, reversed_at__isnull=True)
    return bool(await rows.update(reversed_at=now))


async def reversal_of(entry_id: UUID) -> RewardEntry:
    """Return the entry that reverses this one."""
    return await RewardEntry.get(reverses_id=entry_id)


async def _milestone_flags(entry_ids: Sequence[UUID]) -> list[tuple[UUID, set[str]]]:
    """Return the flags of the flagged invitees who made these milestones, with the entries."""
    if not entry_ids:
        return []
    marks = dialect.placeholders(len(entry_ids))
    rows = await database.query(_MILESTONE_FLAGS.format(ids=marks), *entry_ids)
    return [(UUID(row["entry_id"]), set(row["flags"].split())) for row in rows]


def _live(**conditions: object) -> QuerySet[RewardEntry]:
    """Select the entries that can still be taken back: a rejection is final."""
    rows = RewardEntry.filter(kind=Kind.EARNED, reversed_at__isnull=True, **conditions)
    return rows.filter(Q(review__isnull=True) | ~Q(review=Review.REJECTED)).order_by("id")


def _unavailable(now: datetime, **conditions: object) -> QuerySet[RewardEntry]:
    return _live(**conditions).filter(Q(review=Review.ASKED) | Q(available_at__gt=now))
