"""Delivery: how many messages were sent, arrived and were used, by country and channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from referral.core import countries
from referral.core.channels import Channel
from referral.core.errors import InvalidRequest
from referral.http.pages import render
from referral.http.pages.texts import N_
from referral.http.requests import AdminRequest, context
from referral.messaging import deliveries

PATH = "/admin/delivery"

_DAYS = (1, 7, deliveries.KEEP_DAYS)
_CHANNELS: Mapping[Channel, str] = {
    Channel.SMS: "SMS",
    Channel.TELEGRAM: "Telegram",
    Channel.WHATSAPP: "WhatsApp",
    Channel.VOICE: N_("Phone call"),
}
# No SMS gateway tells us later whether a message arrived
_WITHOUT_REPORTS = frozenset({Channel.SMS})

Days = Annotated[int | None, QueryParameter()]


@get("/delivery", include_in_schema=False)
async def show(request: AdminRequest, days: Days = None) -> Response[str]:
    """Show the figures of the last 24 hours, 7 or 30 days. Raises InvalidRequest."""
    chosen = _DAYS[0] if days is None else days
    if chosen not in _DAYS:
        raise InvalidRequest.field("days", f"Choose one of {_DAYS}.")
    figures = await deliveries.recent(context(request).clock(), hours=24 * chosen)
    language = render.language(request).tag
    return render.page(
        request,
        "admin/delivery.html",
        figures=figures,
        names={each.country: countries.name(each.country, language) for each in figures},
        channels=_CHANNELS,
        without_reports=_WITHOUT_REPORTS,
        periods=_DAYS,
        chosen=chosen,
    )
