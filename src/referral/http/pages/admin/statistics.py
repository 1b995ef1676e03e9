"""How the service grows: its numbers, and a chart of its days."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get
from litestar.params import QueryParameter

from referral import i18n
from referral.core.errors import InvalidRequest
from referral.http.pages import flash, render
from referral.http.pages.admin import chart
from referral.http.requests import AdminRequest, context
from referral.service import stats

PATH = "/admin"

# So many days are read at a glance; more open on a click
_SHORT_TABLE = 7

First = Annotated[str | None, QueryParameter(name="from")]
Last = Annotated[str | None, QueryParameter(name="to")]
Theme = Annotated[str | None, QueryParameter()]
Size = Annotated[str | None, QueryParameter()]


@get(include_in_schema=False)
async def numbers(request: AdminRequest, first: First = None, last: Last = None) -> Response[Any]:
    """A field that is sent empty is one that was not filled in."""
    ctx = context(request)
    try:
        found = await stats.get(ctx, first=first or None, last=last or None)
    except InvalidRequest as refusal:
        typed = {"from": first or "", "to": last or ""}
        return flash.refused(request, PATH, refusal, form="days", field="from", values=typed)
    now = ctx.clock().date().isoformat()
    today = found.days[-1]
    if today.day.isoformat() != now:
        [today] = await stats.by_day(ctx, first=now, last=now)
    return render.page(
        request,
        "admin/statistics.html",
        stats=found,
        today=today,
        sizes=chart.SIZES,
        is_long=len(found.days) > _SHORT_TABLE,
    )


@get("/charts/days.svg", include_in_schema=False)
async def days_chart(
    request: AdminRequest,
    first: First = None,
    last: Last = None,
    theme: Theme = None,
    size: Size = None,
) -> Response[bytes]:
    """Raises InvalidRequest."""
    days = await stats.by_day(context(request), first=first or None, last=last or None)
    gettext = i18n.catalogue(render.language(request)).gettext
    drawn = chart.draw(
        [day.day for day in days],
        {
            gettext("Sign-ups"): [day.sign_ups for day in days],
            gettext("Activations (dashed)"): [day.activations for day in days],
        },
        title=gettext("Sign-ups and activations by day"),
        is_dark=theme == "dark",
        size=chart.SIZES["wide" if size == "wide" else "narrow"],
    )
    return Response(
        drawn,
        media_type="image/svg+xml",
        # As a page of its own too it runs and loads nothing
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        },
    )


HANDLERS = [numbers, days_chart]
