"""How the service grows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from msgspec import Meta, Struct, field

from referral.context import Context
from referral.core import days as spans
from referral.core.days import Days
from referral.storage import stats
from referral.storage.stats import DayCount

TOP_INVITERS = 10

_NONE = DayCount(0, 0)


class Totals(Struct, frozen=True, kw_only=True):
    """All users at this moment."""

    users: Annotated[int, Meta(examples=[1200])]
    blocked: Annotated[int, Meta(description="Of them.", examples=[3])]
    activations: Annotated[
        int, Meta(description="How many of them activated a code.", examples=[800])
    ]
    deleted: Annotated[
        int, Meta(description="Users who left: in no other number here.", examples=[40])
    ]


class Day(Struct, frozen=True, kw_only=True):
    """What happened on one day, UTC."""

    day: Annotated[date, Meta(examples=["2026-01-31"])]
    sign_ups: Annotated[int, Meta(examples=[12])]
    activations: Annotated[int, Meta(examples=[8])]


class TopInviter(Struct, frozen=True, kw_only=True):
    """A user whose code was activated often in these days."""

    id: Annotated[str, Meta(examples=["9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f"])]
    phone: Annotated[str, Meta(description="E.164", examples=["+79991234567"])]
    name: Annotated[str | None, Meta(examples=["Anna"])]
    invite_code: Annotated[str, Meta(examples=["7KQ2MX"])]
    activations: Annotated[int, Meta(examples=[5])]


class Stats(Struct, frozen=True, kw_only=True):
    """Totals, and what happened from one day to another."""

    first: Annotated[date, Meta(examples=["2026-01-02"])] = field(name="from")
    last: Annotated[date, Meta(examples=["2026-01-31"])] = field(name="to")
    totals: Totals
    sign_ups: Annotated[int, Meta(description="In these days.", examples=[350])]
    activations: Annotated[int, Meta(description="In these days.", examples=[240])]
    k_factor: Annotated[
        float | None,
        Meta(
            description=(
                "How many activated, to this moment, the codes of those who signed up in these "
                "days, divided by those who signed up; null where nobody did."
            ),
            examples=[0.7],
        ),
    ]
    days: Annotated[list[Day], Meta(description="Every day, also those without anything.")]
    top_inviters: Annotated[
        list[TopInviter], Meta(description=f"The most first, {TOP_INVITERS} at most.")
    ]


async def get(ctx: Context, *, first: str | None, last: str | None) -> Stats:
    """Of the days from the first to the last, both included. Raises InvalidRequest."""
    days = spans.parse(first, last, today=ctx.clock().date())
    sign_ups, activations = await stats.sign_ups(days), await stats.activations(days)
    users = sum(day.number for day in sign_ups.values())
    invitees = sum(day.invitees for day in sign_ups.values())
    return Stats(
        first=days.first,
        last=days.last,
        totals=Totals(**await stats.totals()),
        sign_ups=users,
        activations=sum(day.number for day in activations.values()),
        k_factor=invitees / users if users else None,
        days=_by_day(days, sign_ups, activations),
        top_inviters=[
            TopInviter(**{**row, "id": str(row["id"])})
            for row in await stats.top_inviters(days, limit=TOP_INVITERS)
        ],
    )


async def by_day(ctx: Context, *, first: str | None, last: str | None) -> list[Day]:
    """The days of `get` alone. Raises InvalidRequest."""
    days = spans.parse(first, last, today=ctx.clock().date())
    return _by_day(days, await stats.sign_ups(days), await stats.activations(days))


def _by_day(
    days: Days, sign_ups: Mapping[str, DayCount], activations: Mapping[str, DayCount]
) -> list[Day]:
    return [
        Day(
            day=day,
            sign_ups=sign_ups.get(day.isoformat(), _NONE).number,
            activations=activations.get(day.isoformat(), _NONE).number,
        )
        for day in days
    ]
