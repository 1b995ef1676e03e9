"""Figures: the sums of the ledger by unit, rule and day, and by present status."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from msgspec import Struct, structs

from referral.context import Context
from referral.core import comparison
from referral.core import days as spans
from referral.core.comparison import Change
from referral.core.days import Days
from referral.rewards import figure_queries


class Sums(Struct, frozen=True, kw_only=True):
    """Sums in one unit. `earned` is the sum of the five after it: the present statuses."""

    earned: int = 0
    available: int = 0
    pending: int = 0
    in_review: int = 0
    reversed: int = 0
    rejected: int = 0
    redeemed: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What rules gave in finished days and in the days before: see core/comparison.py.

    earned: by rule and unit.
    """

    before: Days
    earned: dict[tuple[str, str], Change]


COLUMNS = Sums.__struct_fields__


class Figure(Struct, frozen=True, kw_only=True):
    """Sums by unit, and where they say so, by rule and day. Redemptions have no rule."""

    day: str = ""
    rule: str = ""
    unit: str
    sums: Sums


class Figures(Struct, frozen=True, kw_only=True):
    """Sums by rule, and by day and rule, newest first, of the entries made in these days."""

    first: date
    last: date
    by_rule: list[Figure]
    by_day: list[Figure]


async def totals(ctx: Context) -> list[Figure]:
    """Return the sums of the whole ledger, by unit."""
    rows = await figure_queries.by_unit(now=ctx.clock())
    return [Figure(unit=row["unit"], sums=_sums(row)) for row in map(dict, rows)]


async def of_days(ctx: Context, *, first: str | None, last: str | None) -> Figures:
    """Return the sums of the entries made in a period. Raises InvalidRequest.

    first, last: ISO 8601 dates in UTC, both included; None for the default.
    """
    now = ctx.clock()
    days = spans.parse(first, last, today=now.date())
    found = [
        Figure(day=row["day"], rule=row["rule"] or "", unit=row["unit"], sums=_sums(row))
        for row in map(dict, await figure_queries.by_day(days, now=now))
    ]
    by_day = sorted(found, key=lambda each: (each.rule, each.unit))
    return Figures(
        first=days.first,
        last=days.last,
        by_rule=_by_rule(by_day),
        by_day=sorted(by_day, key=lambda each: each.day, reverse=True),
    )


async def compare(ctx: Context, found: Figures) -> Comparison | None:
    """Compare what was earned in the finished days with the days before, if any day is over."""
    periods = comparison.periods(Days(found.first, found.last), today=ctx.clock().date())
    if periods is None:
        return None
    over, before = periods
    earlier = await of_days(ctx, first=before.first.isoformat(), last=before.last.isoformat())
    now = _by_rule(each for each in found.by_day if each.day <= over.last.isoformat())
    sums = [{(each.rule, each.unit): each.sums.earned for each in now}]
    sums.append({(each.rule, each.unit): each.sums.earned for each in earlier.by_rule})
    keys = ((each.rule, each.unit) for each in found.by_rule)
    return Comparison(before, {key: Change(*(each.get(key, 0) for each in sums)) for key in keys})


def _by_rule(figures: Iterable[Figure]) -> list[Figure]:
    groups: dict[tuple[str, str], list[Sums]] = defaultdict(list)
    for each in figures:
        groups[each.rule, each.unit].append(each.sums)
    return [Figure(rule=rule, unit=unit, sums=_add(sums)) for (rule, unit), sums in groups.items()]


def _add(all_sums: Iterable[Sums]) -> Sums:
    columns = zip(*map(structs.astuple, all_sums), strict=True)
    return Sums(**dict(zip(COLUMNS, map(sum, columns), strict=True)))


def _sums(row: dict[str, int]) -> Sums:
    return Sums(**{name: row[name] for name in COLUMNS})
