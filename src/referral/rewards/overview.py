"""The overview of a person's rewards: earned, waiting, and the next milestones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from referral.context import Context
from referral.core import cursor as cursors
from referral.core import reward_status
from referral.core.reward_status import Kind, Status
from referral.rewards import (
    entry_queries,
    list_queries,
    overview_queries,
    rule_queries,
    rules,
    subjects,
)
from referral.rewards.entry_queries import Balance
from referral.rewards.ledger import ALL_TIME
from referral.rewards.rules import ACTIVATED, Rule
from referral.storage.models import RewardEntry

_NEAREST_HOLDS = 3
_NEWEST_LINES = 5

Reason = Literal["friend", "own", "milestone", "redeemed", "returned"]


class Hold(Struct, frozen=True, kw_only=True):
    """An entry that is available from a time on."""

    unit: str
    amount: int
    available_at: datetime


class InReview(Struct, frozen=True, kw_only=True):
    """The sum of a user's entries in one unit that wait for a decision."""

    unit: str
    amount: int


class NextMilestone(Struct, frozen=True, kw_only=True):
    """The next milestone of a rule.

    done, goal: invitees who qualify, and how many it takes. since: only events from then on count.
    """

    rule: str
    done: int
    goal: int
    amount: int
    unit: str
    trigger: str
    is_activation: bool
    since: datetime


class Promise(Struct, frozen=True, kw_only=True):
    """What a rule gives an inviter for each friend, or for each event of theirs."""

    amount: int
    unit: str
    trigger: str
    is_activation: bool
    is_first: bool


class Line(Struct, frozen=True, kw_only=True):
    """An entry of the ledger, as its beneficiary reads it.

    reason: a friend's event, the person's own, a number of friends, or a redemption. trigger: the
    type of the event. number: of friends. is_reversal: whether it takes another entry back.
    """

    amount: int
    unit: str
    status: Status
    reason: Reason
    trigger: str
    is_activation: bool
    number: int | None
    is_reversal: bool
    created_at: datetime
    available_at: datetime | None


class Overview(Struct, frozen=True, kw_only=True):
    balances: list[Balance]
    holds: list[Hold]
    in_review: list[InReview]
    milestones: list[NextMilestone]
    promises: list[Promise]
    lines: list[Line]
    has_more_lines: bool
    has_rules: bool

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show: no rules, and nothing earned."""
        return not (self.has_rules or self.lines)


class LinePage(Struct, frozen=True, kw_only=True):
    items: list[Line]
    next_cursor: str | None


async def get(ctx: Context, user_id: UUID) -> Overview:
    """Return a user's balances, newest entries, and how far away the next milestones are."""
    now = ctx.clock()
    in_force = await rule_queries.in_force()
    rows, more = await list_queries.page(after=None, limit=_NEWEST_LINES, now=now, user_id=user_id)
    balances = await entry_queries.balances(user_id, now=now) if rows else []
    return Overview(
        balances=balances,
        holds=await _holds(user_id, balances, now=now),
        in_review=[InReview(**row) for row in await overview_queries.in_review(user_id)]
        if rows
        else [],
        milestones=await _milestones(user_id, in_force, now=now),
        promises=_promises(in_force, now=now),
        lines=await _lines(rows, now=now),
        has_more_lines=more is not None,
        has_rules=bool(in_force),
    )


async def page(ctx: Context, user_id: UUID, *, cursor: str | None, limit: int) -> LinePage:
    """Return a page of a user's entries, newest first. Raises InvalidRequest."""
    after = cursors.parse(cursor) if cursor is not None else None
    now = ctx.clock()
    rows, next_cursor = await list_queries.page(after=after, limit=limit, now=now, user_id=user_id)
    return LinePage(items=await _lines(rows, now=now), next_cursor=next_cursor)


async def earned_by(
    user_id: UUID, invitee_ids: Sequence[UUID], *, now: datetime
) -> dict[UUID, list[Balance]]:
    """Return what each of these invitees earned a user, by unit; those without are missing."""
    found: dict[UUID, list[Balance]] = defaultdict(list)
    if invitee_ids:
        for row in await overview_queries.earned_by(user_id, invitee_ids, now=now):
            found[UUID(row["invitee_id"])].append(
                Balance(unit=row["unit"], available=row["available"], pending=row["pending"])
            )
    return found


async def _holds(user_id: UUID, balances: Sequence[Balance], *, now: datetime) -> list[Hold]:
    found = [
        Hold(**row)
        for balance in balances
        if balance.pending
        for row in await overview_queries.holds(
            user_id, balance.unit, now=now, limit=_NEAREST_HOLDS
        )
    ]
    return sorted(found, key=lambda hold: hold.available_at)[:_NEAREST_HOLDS]


async def _milestones(
    user_id: UUID, in_force: Sequence[Rule], *, now: datetime
) -> list[NextMilestone]:
    running = [each for each in in_force if each.is_milestone and each.is_running(now)]
    if not running:
        return []
    month = rules.month(now)
    totals = await entry_queries.totals(
        [user_id], [each.name for each in running], [ALL_TIME, month]
    )
    amounts = {key[1:]: total.amount for key, total in totals.items()}
    done = {name: total.qualifiers for (_, name, when), total in totals.items() if when == ALL_TIME}
    found = [
        NextMilestone(
            rule=rule.name,
            done=done.get(rule.name, 0),
            goal=goal,
            amount=rule.amount,
            unit=rule.unit,
            trigger=rule.trigger,
            is_activation=rule.trigger == ACTIVATED,
            since=rule.starts_at,
        )
        for rule in running
        if (goal := rule.next_milestone(done.get(rule.name, 0))) is not None
        and not rule.exceeds_cap(
            month=amounts.get((rule.name, month), 0), total=amounts.get((rule.name, ALL_TIME), 0)
        )
    ]
    # A milestone that was rejected, or that a cap prevented, is not earned again
    keys = {each.rule: (user_id, each.rule, subjects.of_milestone(each.goal)) for each in found}
    decided = await entry_queries.by_subject(keys.values())
    still = [
        each
        for each in found
        if all(entry.reversed_at for entry in decided.get(keys[each.rule], ()))
    ]
    return sorted(still, key=lambda each: (each.goal - each.done, each.goal))


def _promises(in_force: Sequence[Rule], *, now: datetime) -> list[Promise]:
    return [
        Promise(
            amount=rule.amount,
            unit=rule.unit,
            trigger=rule.trigger,
            is_activation=rule.trigger == ACTIVATED,
            is_first=rule.occurs == "first",
        )
        for rule in in_force
        if rule.beneficiary == "inviter" and not rule.is_milestone and rule.is_running(now)
    ]


async def _lines(rows: Sequence[RewardEntry], *, now: datetime) -> list[Line]:
    versions = await rule_queries.versions(
        (row.rule, row.version) for row in rows if row.rule is not None and row.version is not None
    )
    return [_line(row, versions.get((row.rule or "", row.version or 0)), now=now) for row in rows]


def _line(row: RewardEntry, rule: Rule | None, *, now: datetime) -> Line:
    trigger = rule.trigger if rule else ""
    return Line(
        amount=row.amount,
        unit=row.unit,
        status=reward_status.derive(row, now=now),
        reason=_reason(row, rule),
        trigger=trigger,
        is_activation=trigger == ACTIVATED,
        number=row.milestone,
        is_reversal=row.kind == Kind.REVERSAL,
        created_at=row.created_at,
        available_at=row.available_at,
    )


def _reason(row: RewardEntry, rule: Rule | None) -> Reason:
    if row.kind == Kind.REDEMPTION:
        return "redeemed"
    if row.kind == Kind.RETURN:
        return "returned"
    if rule is not None and rule.is_milestone:
        return "milestone"
    return "own" if row.about_user_id == row.user_id else "friend"
