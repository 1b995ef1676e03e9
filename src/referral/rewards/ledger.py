"""The ledger: make and reverse entries, with their sums and their webhook events.

Call these functions in the transaction of the event, activation or other change, with the rows of
the beneficiaries locked. These locks serialise everything that one user earns, so the caps, the
milestones and "once for each invitee" are exact, and the webhook events of a user are in order.

Entries are only added. The columns that change are marks from which the status follows: that an
entry is reversed, and where its review stands. `reward_totals` and `reward_balances` are sums of
entries that would take too long to add up (docs/decisions/0018-a-ledger-with-sums.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from referral.context import Context
from referral.core import ids
from referral.core.reward_status import Kind, Review
from referral.rewards import announcements, entry_queries, rules
from referral.rewards.activation_queries import LockedUser
from referral.rewards.rules import Rule
from referral.storage.models import Activation, RewardEntry

ALL_TIME = ""
"""The period of the totals over all months."""


class Link(Struct, frozen=True, kw_only=True):
    """An activation, with its invitee and inviter locked."""

    activation: Activation
    invitee: LockedUser
    inviter: LockedUser


class Cause(Struct, frozen=True, kw_only=True):
    """The event by which entries are earned. text: their `cause`. link: whose event it is."""

    event_id: str
    text: str
    link: Link


class Earned(Struct, frozen=True, kw_only=True):
    """A reward that a rule promises for an event, unless it was given before or passes a cap.

    subject: see subjects.py; the rule gives it once. milestone: the number of invitees.
    activation_ids: those of the invitees who made a milestone.
    """

    rule: Rule
    cause: Cause
    subject: str
    milestone: int | None = None
    activation_ids: Sequence[int] = ()
    flags: Sequence[str] = ()

    @property
    def beneficiary(self) -> LockedUser:
        link = self.cause.link
        return link.inviter if self.rule.beneficiary == "inviter" else link.invitee

    @property
    def key(self) -> entry_queries.SubjectKey:
        return self.beneficiary.id, self.rule.name, self.subject

    @property
    def needs_review(self) -> bool:
        return (
            self.rule.review == "all"
            or (self.rule.review == "flagged" and bool(self.flags))
            or self.cause.link.invitee.is_blocked
            or self.beneficiary.is_blocked
        )


async def earn(
    ctx: Context, wanted: Iterable[Earned], *, operation: str, now: datetime
) -> list[RewardEntry]:
    """Make the entries for these rewards; return those that were made.

    None is made for a deleted beneficiary, for a reward that was given, rejected or capped before,
    or beyond a cap. operation: see models.RewardEntry.made_by.
    """
    wanted = [each for each in wanted if not each.beneficiary.is_deleted]
    if not wanted:
        return []
    # An event that was just stored cannot be the subject of an entry
    earlier = await entry_queries.by_subject(
        each.key for each in wanted if not each.rule.is_for_events
    )
    sums = await _sums(wanted, now=now)
    made: dict[UUID, Earned] = {}
    entries = []
    for each in wanted:
        before = earlier.get(each.key, [])
        if any(entry.reversed_at is None for entry in before):
            continue
        entry = _entry(ctx, each, attempt=len(before), operation=operation, now=now)
        month, total = sums[each.beneficiary.id, each.rule.name]
        if each.rule.exceeds_cap(month=month, total=total):
            entry.kind, entry.amount, entry.review = Kind.CAPPED, 0, None
        else:
            made[entry.id] = each
        entries.append(entry)
    await entry_queries.add(entries)
    earned = [entry for entry in entries if entry.id in made]
    for entry in earned:
        if entry.milestone is not None:
            await entry_queries.add_milestone(entry.id, made[entry.id].activation_ids)
    await _add_to_sums(earned, sign=1)
    flags = {entry_id: each.flags for entry_id, each in made.items()}
    await announcements.earned(ctx, earned, flags=flags, now=now)
    return earned


async def reverse(
    ctx: Context,
    entries: Sequence[RewardEntry],
    *,
    cause: str,
    operation: str | None = None,
    now: datetime,
) -> list[RewardEntry]:
    """Make the entries that reverse earned ones; return them.

    cause: the reason, as the reversing entries tell it.
    """
    if not entries:
        return []
    reversals = [
        RewardEntry(
            id=ids.new(ctx.token_bytes),
            kind=Kind.REVERSAL,
            user_id=each.user_id,
            unit=each.unit,
            amount=-each.amount,
            cause=cause,
            created_at=now,
            rule=each.rule,
            version=each.version,
            reverses_id=each.id,
            about_user_id=each.about_user_id,
            made_by=operation,
        )
        for each in entries
    ]
    await entry_queries.add(reversals)
    await entry_queries.mark_reversed(entries, now=now)
    await _add_to_sums(entries, sign=-1)
    await announcements.reversed_(ctx, entries, now=now)
    return reversals


async def reject(ctx: Context, entry: RewardEntry, *, now: datetime) -> None:
    """Reject an entry in review, which counts in no balance."""
    await entry_queries.set_review(entry, Review.REJECTED)
    await entry_queries.add_to_totals(_totals([entry], sign=-1))
    entry.review = Review.REJECTED
    await announcements.reversed_(ctx, [entry], now=now)


async def approve(ctx: Context, entry: RewardEntry, *, now: datetime) -> None:
    """Approve an entry in review: from now on it counts."""
    entry.review = Review.APPROVED
    entry.announcement_id = ids.new(ctx.token_bytes)
    await entry_queries.set_review(entry, Review.APPROVED, announcement_id=entry.announcement_id)
    await entry_queries.add_to_balances({(entry.user_id, entry.unit): entry.amount})
    await announcements.available(ctx, [entry], now=now)


async def _sums(
    wanted: Sequence[Earned], *, now: datetime
) -> dict[tuple[UUID, str], tuple[int, int]]:
    """Return the sums that caps bound, of this month and of all time, by beneficiary and rule."""
    month = rules.month(now)
    totals = await entry_queries.totals(
        {each.beneficiary.id for each in wanted},
        {each.rule.name for each in wanted},
        {ALL_TIME, month},
    )
    amounts = {key: total.amount for key, total in totals.items()}
    keys = {each.key[:2] for each in wanted}
    return {key: (amounts.get((*key, month), 0), amounts.get((*key, ALL_TIME), 0)) for key in keys}


def _entry(
    ctx: Context, earned: Earned, *, attempt: int, operation: str, now: datetime
) -> RewardEntry:
    rule, cause = earned.rule, earned.cause
    needs_review = earned.needs_review
    return RewardEntry(
        id=ids.new(ctx.token_bytes),
        kind=Kind.EARNED,
        user_id=earned.beneficiary.id,
        unit=rule.unit,
        amount=rule.amount,
        cause=cause.text,
        created_at=now,
        available_at=now + timedelta(days=rule.hold_days),
        review=Review.ASKED if needs_review else None,
        announcement_id=None if needs_review else ids.new(ctx.token_bytes),
        rule=rule.name,
        version=rule.version,
        subject=earned.subject,
        attempt=attempt,
        event_id=cause.event_id,
        made_by=operation,
        about_user_id=cause.link.invitee.id,
        activation_id=cause.link.activation.id,
        milestone=earned.milestone,
    )


async def _add_to_sums(entries: Sequence[RewardEntry], *, sign: int) -> None:
    """Add earned entries to the sums that they count in, or subtract them."""
    balances: Counter[tuple[UUID, str]] = Counter()
    for each in entries:
        if each.review in {None, Review.APPROVED}:
            balances[each.user_id, each.unit] += sign * each.amount
    await entry_queries.add_to_totals(_totals(entries, sign=sign))
    await entry_queries.add_to_balances(balances)


def _totals(entries: Sequence[RewardEntry], *, sign: int) -> dict[tuple[UUID, str, str], int]:
    totals: Counter[tuple[UUID, str, str]] = Counter()
    for each in entries:
        for period in (ALL_TIME, rules.month(each.created_at)):
            totals[each.user_id, str(each.rule), period] += sign * each.amount
    return totals
