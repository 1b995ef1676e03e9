"""Statistics: totals, the counts of the chosen days, and a chart of them."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get
from litestar.params import QueryParameter

from referral.core.errors import InvalidRequest
from referral.http.pages import flash, render
from referral.http.pages.admin import chart, periods
from referral.http.requests import AdminRequest, context
from referral.service import stats

PATH = "/admin"

# A table of more days is in a closed <details>
_SHORT_TABLE = 7

First = Annotated[str | None, QueryParameter(name="from")]
Last = Annotated[str | None, QueryParameter(name="to")]


@get(include_in_schema=False)
async def show(request: AdminRequest, first: First = None, last: Last = None) -> Response[Any]:
    """Show the statistics. A field that was submitted empty counts as missing."""
    ctx = context(request)
    try:
        found, comparison = await stats.compared(ctx, first=first or None, last=last or None)
    except InvalidRequest as refusal:
        typed = {"from": first or "", "to": last or ""}
        return flash.refused(request, PATH, refusal, form="days", field="from", values=typed)
    date = ctx.clock().date()
    today = found.days[-1]
    if today.day != date:
        [today] = await stats.by_day(ctx, first=date.isoformat(), last=date.isoformat())
    return render.page(
        request,
        "admin/statistics.html",
        stats=found,
        today=today,
        comparison=comparison,
        presets=periods.presets(date, first=found.first, last=found.last),
        chart=chart.draw(found.days, today=date),
        is_long=len(found.days) > _SHORT_TABLE,
    )
