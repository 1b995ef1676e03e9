"""Statistics: totals, sign-ups, activations and opens by day, and the K-factor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct, field

from referral.context import Context
from referral.core import comparison
from referral.core import days as spans
from referral.core.comparison import Change
from referral.core.days import Days
from referral.storage import stats as stat_queries
from referral.storage.stats import DayCount

TOP_INVITERS = 10

_NO_COUNT = DayCount(0, 0)


class Totals(Struct, frozen=True, kw_only=True):
    """The current numbers of users."""

    users: Annotated[int, Meta(examples=[1200])]
    blocked: Annotated[int, Meta(description="How many of them are blocked.", examples=[3])]
    activations: Annotated[
        int, Meta(description="How many of them have activated an invite code.", examples=[800])
    ]
    deleted: Annotated[
        int, Meta(description="Deleted users, who are not in the other numbers.", examples=[40])
    ]


class Day(Struct, frozen=True, kw_only=True):
    """The counts of one day, UTC."""

    day: Annotated[date, Meta(examples=["2026-01-31"])]
    sign_ups: Annotated[int, Meta(examples=[12])]
    activations: Annotated[int, Meta(examples=[8])]
    opens: Annotated[int, Meta(description="Of the pages of invite links.", examples=[30])]


class TopInviter(Struct, frozen=True, kw_only=True):
    """A user whose invite code was activated often in the period."""

    id: Annotated[str, Meta(examples=["9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f"])]
    phone: Annotated[str, Meta(description="E.164", examples=["+79991234567"])]
    name: Annotated[str | None, Meta(examples=["Anna"])]
    invite_code: Annotated[str, Meta(examples=["7KQ2MX"])]
    activations: Annotated[int, Meta(examples=[5])]


class Stats(Struct, frozen=True, kw_only=True):
    """Totals, and the counts of a period of days."""

    first: Annotated[date, Meta(examples=["2026-01-02"])] = field(name="from")
    last: Annotated[date, Meta(examples=["2026-01-31"])] = field(name="to")
    totals: Totals
    sign_ups: Annotated[int, Meta(description="In the period.", examples=[350])]
    activations: Annotated[int, Meta(description="In the period.", examples=[240])]
    opens: Annotated[
        int,
        Meta(
            description=(
                "How often the pages `/i/{invite_code}` were opened in the period, each reload "
                "included, bots and previews of messengers not. A few seconds old."
            ),
            examples=[900],
        ),
    ]
    k_factor: Annotated[
        float | None,
        Meta(
            description=(
                "Activations until now of the invite codes of users who signed up in the period, "
                "divided by the number of those users. Null if nobody signed up. It is "
                "`opens_per_inviter` times `sign_ups_per_open`, if neither is null."
            ),
            examples=[0.7],
        ),
    ]
    opens_per_inviter: Annotated[
        float | None,
        Meta(
            description=(
                "Opens until now of the invite links of users who signed up in the period, divided "
                "by the number of those users. Null if nobody signed up."
            ),
            examples=[2.8],
        ),
    ]
    sign_ups_per_open: Annotated[
        float | None,
        Meta(
            description=(
                "Activations until now of the invite codes of those users, divided by the opens of "
                "their links until now. Null if there are no opens. It may be above 1: a code can "
                "also be typed."
            ),
            examples=[0.25],
        ),
    ]
    days: Annotated[list[Day], Meta(description="Every day of the period, also empty ones.")]
    top_inviters: Annotated[
        list[TopInviter], Meta(description=f"Most activations first, at most {TOP_INVITERS}.")
    ]


class _Counts(NamedTuple):
    """The counts of a period by day. Days without any are missing."""

    sign_ups: Mapping[str, DayCount]
    activations: Mapping[str, DayCount]
    opens: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The finished days of a period, compared with the days before: see core/comparison.py."""

    before: Days
    sign_ups: Change
    activations: Change
    opens: Change


async def get(ctx: Context, *, first: str | None, last: str | None) -> Stats:
    """Return the statistics of a period. Raises InvalidRequest.

    first, last: ISO 8601 dates in UTC, both included; None for the default.
    """
    days = spans.parse(first, last, today=ctx.clock().date())
    return await _stats(days, await _counts(days))


async def compared(
    ctx: Context, *, first: str | None, last: str | None
) -> tuple[Stats, Comparison | None]:
    """Return the statistics as `get` does, and a comparison if any day is over."""
    today = ctx.clock().date()
    days = spans.parse(first, last, today=today)
    periods = comparison.periods(days, today=today)
    if periods is None:
        return await _stats(days, await _counts(days)), None
    over, before = periods
    # Both periods at once: most of the time goes into reading every user
    counts = await _counts(Days(before.first, days.last))
    found = await _stats(days, counts)
    now, then = _by_day(over, counts), _by_day(before, counts)

    def change(name: str) -> Change:
        return Change(*(sum(getattr(day, name) for day in each) for each in (now, then)))

    return found, Comparison(
        before=before,
        sign_ups=change("sign_ups"),
        activations=change("activations"),
        opens=change("opens"),
    )


async def by_day(ctx: Context, *, first: str | None, last: str | None) -> list[Day]:
    """Return the statistics of each day only, as `get` does. Raises InvalidRequest."""
    days = spans.parse(first, last, today=ctx.clock().date())
    return _by_day(days, await _counts(days))


async def _counts(days: Days) -> _Counts:
    return _Counts(
        sign_ups=await stat_queries.sign_ups(days),
        activations=await stat_queries.activations(days),
        opens=await stat_queries.opens(days),
    )


async def _stats(days: Days, counts: _Counts) -> Stats:
    """Return the statistics of these days. counts: may have other days too."""
    by_day = _by_day(days, counts)
    users = sum(day.sign_ups for day in by_day)
    newcomers = (counts.sign_ups.get(day.isoformat(), _NO_COUNT) for day in days)
    invitees = sum(each.invitees for each in newcomers)
    their_opens = await stat_queries.opens_of_newcomers(days)
    return Stats(
        first=days.first,
        last=days.last,
        totals=Totals(**await stat_queries.totals()),
        sign_ups=users,
        activations=sum(day.activations for day in by_day),
        opens=sum(day.opens for day in by_day),
        k_factor=_ratio(invitees, users),
        opens_per_inviter=_ratio(their_opens, users),
        sign_ups_per_open=_ratio(invitees, their_opens),
        days=by_day,
        top_inviters=[
            TopInviter(**{**row, "id": str(row["id"])})
            for row in await stat_queries.top_inviters(days, limit=TOP_INVITERS)
        ],
    )


def _ratio(number: int, divisor: int) -> float | None:
    return number / divisor if divisor else None


def _by_day(days: Days, counts: _Counts) -> list[Day]:
    sign_ups, activations, opens = counts
    return [
        Day(
            day=day,
            sign_ups=sign_ups.get(day.isoformat(), _NO_COUNT).number,
            activations=activations.get(day.isoformat(), _NO_COUNT).number,
            opens=opens.get(day.isoformat(), 0),
        )
        for day in days
    ]
