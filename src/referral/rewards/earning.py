"""Earning: count an event, and take back the rewards of a reversed event or activation.

Call these functions with the invitee and the inviter locked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from referral.context import Context
from referral.core import reward_status
from referral.core.reward_status import Review
from referral.rewards import (
    activation_queries,
    entry_queries,
    event_queries,
    ledger,
    rule_queries,
    subjects,
)
from referral.rewards.event_queries import NewEvent
from referral.rewards.ledger import ALL_TIME, Cause, Earned, Link
from referral.rewards.rules import ACTIVATED, Rule
from referral.storage.models import Activation, CountedEvent, RewardEntry


async def lock_link(activation: Activation) -> Link:
    """Lock the invitee and the inviter of an activation, deleted or not."""
    invitee = await activation_queries.lock(activation.user_id)
    inviter = await activation_queries.lock(activation.inviter_id)
    if invitee is None or inviter is None:
        raise LookupError("an activation's users are never removed")
    return Link(activation=activation, invitee=invitee, inviter=inviter)


async def count(
    ctx: Context, event: NewEvent, rules: Sequence[Rule], *, link: Link, now: datetime
) -> list[RewardEntry]:
    """Count an event for these rules; return the entries that it earns."""
    text = ACTIVATED if event.type == ACTIVATED else event.id
    cause = Cause(event_id=event.id, text=text, link=link)
    await event_queries.count_for(event, [each for each in rules if each.looks_at_invitees])
    wanted = []
    for rule in rules:
        wanted += await _milestone(rule, cause) if rule.is_milestone else [_earned(rule, cause)]
    return await ledger.earn(ctx, wanted, operation=f"post/{event.id}", now=now)


async def reverse_event(
    ctx: Context, event_id: str, link: Link, *, reason: str, now: datetime
) -> None:
    """Take back the entries that are not earned without this event.

    Those that another event of the invitee earns are made anew. link: the activation under which
    the event was counted.
    """
    operation = f"reverse/{event_id}"
    counted = await event_queries.counted(event_id)
    await event_queries.withdraw(event_id)
    made = await entry_queries.made_by(f"post/{event_id}")
    lost = [each for each in made if _is_for_event(each) and _can_be_reversed(each)]
    invitee_lost, anew = await _requalify(link, counted, now=now)
    lost += invitee_lost
    await ledger.reverse(ctx, lost, cause=reason, operation=operation, now=now)
    await ledger.earn(ctx, anew, operation=operation, now=now)


async def reverse_activation(ctx: Context, activation: Activation, *, now: datetime) -> None:
    """Take back everything that was earned under an activation that is voided."""
    lost = await entry_queries.live_of_activation(activation.id)
    rules = await event_queries.disqualify(activation.id)
    lost += await _lost_milestones(activation.inviter_id, rules)
    await event_queries.withdraw_all(activation.id)
    await ledger.reverse(ctx, lost, cause="voided", now=now)


def _earned(rule: Rule, cause: Cause) -> Earned:
    """Return the reward of a rule that is no milestone."""
    link = cause.link
    subject = subjects.of_rule(rule, event_id=cause.event_id, invitee_id=link.invitee.id)
    flags = sorted(link.activation.flags.split())
    return Earned(rule=rule, cause=cause, subject=subject, flags=flags)


async def _milestone(rule: Rule, cause: Cause) -> list[Earned]:
    """Let an invitee qualify for a milestone rule; return the reward if a milestone is reached."""
    inviter_id = cause.link.inviter.id
    if not await event_queries.qualify(rule.name, inviter_id, cause.link.activation.id):
        return []
    before = await _qualifiers(inviter_id, [rule.name])
    await entry_queries.add_to_totals({(inviter_id, rule.name, ALL_TIME): 0}, qualifiers=1)
    reached = before.get(rule.name, 0) + 1
    if not rule.is_reached(reached):
        return []
    ids = await event_queries.newest_qualifiers(inviter_id, rule.name, rule.invitees or 1)
    flags = await activation_queries.flags(ids)
    return [
        Earned(
            rule=rule,
            cause=cause,
            subject=subjects.of_milestone(reached),
            milestone=reached,
            activation_ids=ids,
            flags=sorted(set().union(*flags.values())),
        )
    ]


async def _requalify(
    link: Link, counted: Sequence[CountedEvent], *, now: datetime
) -> tuple[list[RewardEntry], list[Earned]]:
    """Look at the rules for which a reversed event counted.

    Return the entries that are lost, and the rewards that are earned anew.
    """
    rules = await rule_queries.versions((each.rule, each.version) for each in counted)
    activation = link.activation
    lost, anew, disqualified = [], [], []
    for event in counted:
        rule = rules[event.rule, event.version]
        oldest = await event_queries.oldest_standing(activation.id, rule.name)
        if rule.is_milestone:
            if oldest is None:
                disqualified.append(rule.name)
            continue
        entry = await _first_entry(rule, activation)
        if entry is None:
            continue
        if oldest is None:
            lost.append(entry)
        elif entry.event_id == event.event_id and _status(entry, now) != "available":
            lost.append(entry)
            anew.append(await _by_event(oldest, link))
    if disqualified:
        names = await event_queries.disqualify(activation.id, rules=disqualified)
        lost += await _lost_milestones(activation.inviter_id, names)
    return lost, anew


async def _first_entry(rule: Rule, activation: Activation) -> RewardEntry | None:
    """Return the entry that a rule gave for the first event of an invitee, if it can be lost."""
    beneficiary = activation.inviter_id if rule.beneficiary == "inviter" else activation.user_id
    key = (beneficiary, rule.name, subjects.of_invitee(activation.user_id))
    found = (await entry_queries.by_subject([key])).get(key, [])
    return next((each for each in found if _can_be_reversed(each)), None)


async def _by_event(counted: CountedEvent, link: Link) -> Earned:
    """Return the reward of another event of the same invitee, by the version it counted for."""
    wanted = (counted.rule, counted.version)
    rule = (await rule_queries.versions([wanted]))[wanted]
    return _earned(rule, Cause(event_id=counted.event_id, text=counted.event_id, link=link))


async def _lost_milestones(inviter_id: UUID, rules: Iterable[str]) -> list[RewardEntry]:
    """Count one invitee less for each of these rules; return the milestones that are lost."""
    names = list(rules)
    if not names:
        return []
    numbers = await _qualifiers(inviter_id, names)
    await entry_queries.add_to_totals(
        {(inviter_id, name, ALL_TIME): 0 for name in names}, qualifiers=-1
    )
    keys = [(inviter_id, name, subjects.of_milestone(numbers.get(name, 0))) for name in names]
    found = await entry_queries.by_subject(keys)
    return [each for key in keys for each in found.get(key, []) if _can_be_reversed(each)]


async def _qualifiers(inviter_id: UUID, rules: Iterable[str]) -> dict[str, int]:
    totals = await entry_queries.totals([inviter_id], rules, [ALL_TIME])
    return {rule: total.qualifiers for (_, rule, _), total in totals.items()}


def _is_for_event(entry: RewardEntry) -> bool:
    """Return whether an entry is for its event, and not for an invitee or a milestone."""
    return entry.subject == subjects.of_event(str(entry.event_id))


def _can_be_reversed(entry: RewardEntry) -> bool:
    return entry.kind == "earned" and entry.reversed_at is None and entry.review != Review.REJECTED


def _status(entry: RewardEntry, now: datetime) -> str:
    return reward_status.derive(entry, now=now)
