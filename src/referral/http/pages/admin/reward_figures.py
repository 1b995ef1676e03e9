"""The sums of the ledger, and the downloads of its entries and sums as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import QueryParameter
from litestar.response import Stream
from msgspec import structs

from referral.context import Context
from referral.core.errors import InvalidRequest
from referral.core.reward_status import Status
from referral.http.pages import flash, render
from referral.http.requests import AdminRequest, context
from referral.rewards import figures, review
from referral.rewards.entries import EntryView

PATH = "/admin/rewards/figures"

_CSV = "text/csv"
_MOST_ROWS = 100  # of days on the page; the file has all
_PAGE_SIZE = 500
_ALL = "all"
# Spreadsheets run a text that begins so
_FORMULA_START = frozenset("=+-@\t\r")

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
        days=found.by_day[:_MOST_ROWS],
        has_more=len(found.by_day) > _MOST_ROWS,
        totals=await figures.totals(ctx),
    )


@get("/rewards/figures.csv", include_in_schema=False)
async def download_figures(
    request: AdminRequest, first: First = None, last: Last = None
) -> Response[bytes]:
    """Download the sums by day, rule and unit. Raises InvalidRequest."""
    found = await figures.of_days(context(request), first=first or None, last=last or None)
    rows = ((each.day, each.rule, each.unit, *structs.astuple(each.sums)) for each in found.by_day)
    text = _rows([("day", "rule", "unit", *figures.COLUMNS), *rows])
    name = f"rewards-{found.first}-{found.last}.csv"
    return Response(text.encode(), media_type=_CSV, headers=_attachment(name))


@get("/rewards.csv", include_in_schema=False)
async def download_entries(
    request: AdminRequest, status: Text = None, unit: Text = None, user: Text = None
) -> Stream:
    """Stream the entries that the list shows with these parameters. Raises InvalidRequest."""
    chosen = review.parse_status(None if status in {None, "", _ALL} else status)
    pages = _pages(context(request), status=chosen, unit=unit or None, user_id=user or None)
    # What is wrong about the parameters is told before the response begins
    begin = await anext(pages)
    return Stream(_entries(begin, pages), media_type=_CSV, headers=_attachment("rewards.csv"))


HANDLERS = [show, download_figures, download_entries]


async def _pages(
    ctx: Context, *, status: Status | None, unit: str | None, user_id: str | None
) -> AsyncIterator[list[EntryView]]:
    """Read one page at a time, so that a long list takes no more memory than a short one."""
    cursor = None
    while True:
        page = await review.page(
            ctx, status=status, unit=unit, user_id=user_id, cursor=cursor, limit=_PAGE_SIZE
        )
        yield page.items
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


async def _entries(
    begin: list[EntryView], more: AsyncIterator[list[EntryView]]
) -> AsyncIterator[str]:
    yield _rows([EntryView.__struct_fields__])
    yield _rows(map(_fields, begin))
    async for entries in more:
        yield _rows(map(_fields, entries))


def _fields(entry: EntryView) -> list[object]:
    values = {
        **structs.asdict(entry),
        "flags": " ".join(entry.flags),
        "created_at": entry.created_at.isoformat(),
        "available_at": entry.available_at.isoformat() if entry.available_at else "",
    }
    return [values[name] for name in EntryView.__struct_fields__]


def _rows(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([_value(each) for each in row] for row in rows)
    return text.getvalue()


def _value(value: object) -> object:
    """Return a value for CSV; a text that spreadsheets would run, as a formula of that text."""
    if isinstance(value, str) and value[:1] in _FORMULA_START:
        return '="' + value.replace('"', '""') + '"'
    return "" if value is None else value


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
