"""Reward figures, and downloads of the ledger's sums and entries as CSV."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import QueryParameter
from litestar.response import Stream
from msgspec import structs

from referral.context import Context
from referral.core import csv_values
from referral.core.cursor import every_page
from referral.core.errors import InvalidRequest
from referral.core.reward_status import Status
from referral.http.pages import flash, render
from referral.http.pages.admin import downloads, periods
from referral.http.requests import AdminRequest, context
from referral.rewards import entry_csv, entry_lists, figures

PATH = "/admin/rewards/figures"

_MAX_ROWS = 100  # by day on the page; the file has all
_PAGE_SIZE = 500
_ALL = "all"

First = Annotated[str | None, QueryParameter(name="from")]
Last = Annotated[str | None, QueryParameter(name="to")]
Text = Annotated[str | None, QueryParameter()]


@get("/rewards/figures", include_in_schema=False)
async def show(request: AdminRequest, first: First = None, last: Last = None) -> Response[Any]:
    """Show the sums of all time and of a period. An empty field counts as missing."""
    ctx = context(request)
    try:
        found = await figures.of_days(ctx, first=first or None, last=last or None)
    except InvalidRequest as refusal:
        typed = {"from": first or "", "to": last or ""}
        return flash.refused(request, PATH, refusal, form="days", field="from", values=typed)
    return render.page(
        request,
        "admin/figures.html",
        figures=found,
        comparison=await figures.compare(ctx, found),
        today=ctx.clock().date(),
        presets=periods.presets(ctx.clock().date(), first=found.first, last=found.last),
        days=found.by_day[:_MAX_ROWS],
        has_more=len(found.by_day) > _MAX_ROWS,
        totals=await figures.totals(ctx),
    )


@get("/rewards/figures.csv", include_in_schema=False)
async def download_figures(
    request: AdminRequest, first: First = None, last: Last = None
) -> Response[bytes]:
    """Download the sums by day, rule and unit. Raises InvalidRequest."""
    found = await figures.of_days(context(request), first=first or None, last=last or None)
    rows = ((each.day, each.rule, each.unit, *structs.astuple(each.sums)) for each in found.by_day)
    text = csv_values.lines([("day", "rule", "unit", *figures.COLUMNS), *rows])
    name = f"rewards-{found.first}-{found.last}.csv"
    return Response(text.encode(), media_type=downloads.CSV, headers=downloads.attachment(name))


@get("/rewards.csv", include_in_schema=False)
async def download_entries(
    request: AdminRequest, status: Text = None, unit: Text = None, user: Text = None
) -> Stream:
    """Stream the entries that the list shows with these parameters. Raises InvalidRequest."""
    chosen = entry_lists.parse_status(None if status in {None, "", _ALL} else status)
    pages = _pages(context(request), status=chosen, unit=unit or None, user_id=user or None)
    return await downloads.csv_file("rewards.csv", pages)


HANDLERS = [show, download_figures, download_entries]


async def _pages(
    ctx: Context, *, status: Status | None, unit: str | None, user_id: str | None
) -> AsyncIterator[str]:
    """Read one page at a time, so that a long list takes no more memory than a short one."""
    header = entry_csv.header()
    async for page in every_page(
        lambda cursor: entry_lists.page(
            ctx, status=status, unit=unit, user_id=user_id, cursor=cursor, limit=_PAGE_SIZE
        )
    ):
        yield header + entry_csv.lines(page.items)
        header = ""
