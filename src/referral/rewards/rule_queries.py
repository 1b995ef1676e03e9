"""Queries for reward rules and their versions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from referral.rewards.rules import Rule
from referral.storage import database, dialect
from referral.storage.models import RewardRule, RewardRuleVersion

_RULES = """
    SELECT name, trigger, beneficiary, unit, occurs, invitees, versions.version, amount, min_value,
           cap_per_month, cap_total, hold_days, review, starts_at, ends_at
    FROM reward_rules JOIN reward_rule_versions AS versions ON versions.rule = name
"""
_IN_FORCE = f"{_RULES} WHERE versions.version = reward_rules.version AND deleted_at IS NULL"


async def in_force() -> list[Rule]:
    """Return the rules that are not deleted, by name."""
    return await _rules(f"{_IN_FORCE} ORDER BY name")


async def triggered_by(trigger: str) -> list[Rule]:
    """Return the rules for this trigger that are not deleted, by name."""
    return await _rules(f"{_IN_FORCE} AND trigger = $1 ORDER BY name", trigger)


async def versions(wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Rule]:
    """Return versions of rules, also of deleted ones, by the name and the version."""
    pairs = sorted(set(wanted))
    if not pairs:
        return {}
    marks = " OR ".join(
        f"(name = ${2 * n + 1} AND versions.version = ${2 * n + 2})" for n in range(len(pairs))
    )
    rules = await _rules(f"{_RULES} WHERE {marks}", *(each for pair in pairs for each in pair))
    return {(rule.name, rule.version): rule for rule in rules}


async def find(name: str) -> RewardRule | None:
    """Return a rule, also a deleted one."""
    return await RewardRule.get_or_none(name=name)


async def lock() -> None:
    """Keep others from changing rules until the transaction ends."""
    await database.advisory_lock(database.Lock.REWARD_RULES)


async def units() -> set[str]:
    """Return the units of all rules, also of deleted ones."""
    rows = await database.query("SELECT DISTINCT unit FROM reward_rules")
    return {row["unit"] for row in rows}


async def save(rule: Rule, *, now: datetime) -> None:
    """Add a version of a rule, and the rule itself with its first one."""
    if rule.version == 1:
        await RewardRule.create(
            name=rule.name,
            trigger=rule.trigger,
            beneficiary=rule.beneficiary,
            unit=rule.unit,
            occurs=rule.occurs,
            invitees=rule.invitees,
            version=1,
            created_at=now,
        )
    else:
        await RewardRule.filter(name=rule.name).update(version=rule.version)
    await RewardRuleVersion.create(
        rule=rule.name,
        version=rule.version,
        amount=rule.amount,
        min_value=rule.min_value,
        cap_per_month=rule.cap_per_month,
        cap_total=rule.cap_total,
        hold_days=rule.hold_days,
        review=rule.review,
        starts_at=rule.starts_at,
        ends_at=rule.ends_at,
        created_at=now,
    )


async def delete(name: str, *, now: datetime) -> bool:
    """Delete a rule. Return False if there is none with this name."""
    return bool(await RewardRule.filter(name=name, deleted_at__isnull=True).update(deleted_at=now))


async def _rules(sql: str, *values: Any) -> list[Rule]:
    rows = dialect.decode_rows(await database.query(sql, *values))
    return [Rule(**row) for row in rows]
