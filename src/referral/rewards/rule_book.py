"""The rule book: the team lists, makes, changes and deletes reward rules."""

from __future__ import annotations

from datetime import datetime

import msgspec

from referral import audit
from referral.context import Actor, Context
from referral.core import freshness, times
from referral.core.errors import InvalidRequest, NotFound
from referral.rewards import rule_fields, rule_queries, rules
from referral.rewards.rule_fields import RuleFields, RuleList, RuleView
from referral.rewards.rules import Rule
from referral.storage import database
from referral.storage.models import RewardRule

_FIXED = ("trigger", "beneficiary", "unit", "occurs", "invitees")


async def list_all() -> RuleList:
    """Return the rules that are in force, by name."""
    return RuleList(items=[rule_fields.view(rule) for rule in await rule_queries.in_force()])


async def put(ctx: Context, name: str, fields: RuleFields, *, by: Actor) -> tuple[RuleView, bool]:
    """Make a rule, or a new version of it. Return it and whether it is new.

    The same content again changes nothing. Raises SignInAgain, and InvalidRequest also for the name
    of a deleted rule and for a change of a fixed field.
    """
    freshness.require(by.signed_in_at, now=ctx.clock())
    rules.parse_name(name, field="name")
    now = ctx.clock()

    async def work() -> tuple[Rule, bool]:
        await rule_queries.lock()
        known = await rule_queries.find(name)
        if known is not None and known.deleted_at is not None:
            raise InvalidRequest.field(
                "name", "A deleted rule had this name. Choose another one for the new rule."
            )
        before = await rule_queries.versions([(name, known.version)]) if known else {}
        current = next(iter(before.values()), None)
        rule = _parse(name, fields, known, now=now)
        if current is not None:
            _require_unchanged(current, rule)
            if _same(current, rule):
                return current, False
        else:
            await _require_new_unit(rule.unit)
        await rule_queries.save(rule, now=now)
        await audit.record(ctx, "reward_rule_saved", by=by, rule=name, version=rule.version)
        return rule, known is None

    rule, is_new = await database.transaction(work)
    return rule_fields.view(rule), is_new


async def delete(ctx: Context, name: str, *, by: Actor) -> None:
    """Delete a rule: it counts no new event and keeps its entries.

    Raises SignInAgain, NotFound.
    """
    freshness.require(by.signed_in_at, now=ctx.clock())

    async def work() -> None:
        await rule_queries.lock()
        if not rules.is_name(name) or not await rule_queries.delete(name, now=ctx.clock()):
            raise NotFound(
                "There is no rule with this name. The list of rules has all names.",
                reason="no such rule",
            )
        await audit.record(ctx, "reward_rule_deleted", by=by, rule=name)

    await database.transaction(work)


def _parse(name: str, fields: RuleFields, known: RewardRule | None, *, now: datetime) -> Rule:
    occurs, invitees = rules.parse_occurs(msgspec.to_builtins(fields.occurs), fields.beneficiary)
    created_at = known.created_at if known else now
    starts_at = times.parse(fields.starts, field="from") if fields.starts else created_at
    ends_at = times.parse(fields.ends, field="until") if fields.ends else None
    if ends_at is not None and ends_at <= starts_at:
        raise InvalidRequest.field("until", "Give a time after `from`.")
    return Rule(
        name=name,
        trigger=rules.parse_name(fields.trigger, field="trigger"),
        beneficiary=fields.beneficiary,
        unit=rules.parse_unit(fields.unit),
        occurs=occurs,
        invitees=invitees,
        version=known.version + 1 if known else 1,
        amount=rules.require_range(fields.amount, 1, rules.MAX_AMOUNT, field="amount"),
        min_value=_in_range(fields.min_value, 0, rules.MAX_VALUE, "min_value"),
        cap_per_month=_in_range(fields.cap_per_month, 1, rules.MAX_CAP, "cap_per_month"),
        cap_total=_in_range(fields.cap_total, 1, rules.MAX_CAP, "cap_total"),
        hold_days=rules.require_range(fields.hold_days, 0, rules.MAX_HOLD_DAYS, field="hold_days"),
        review=fields.review,
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _in_range(number: int | None, low: int, high: int, name: str) -> int | None:
    return None if number is None else rules.require_range(number, low, high, field=name)


def _require_unchanged(current: Rule, rule: Rule) -> None:
    for name in _FIXED:
        if getattr(current, name) != getattr(rule, name):
            shown = "occurs" if name == "invitees" else name
            raise InvalidRequest.field(shown, "This never changes. Make another rule instead.")


def _same(current: Rule, rule: Rule) -> bool:
    return all(
        getattr(current, name) == getattr(rule, name)
        for name in Rule.__struct_fields__
        if name != "version"
    )


async def _require_new_unit(unit: str) -> None:
    """Require that the unit does not differ from another only by case. Raises InvalidRequest."""
    for known in await rule_queries.units():
        if known != unit and known.lower() == unit.lower():
            raise InvalidRequest.field("unit", f"There is a unit {known} already. Write it so.")
