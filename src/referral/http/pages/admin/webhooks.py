"""How the deliveries to the team's receiver go."""

from __future__ import annotations

from litestar import Response, get

from referral.http.pages import render
from referral.http.requests import AdminRequest, GivenParts
from referral.webhooks import payloads


@get("/webhooks", include_in_schema=False)
async def status(request: AdminRequest, parts: GivenParts) -> Response[str]:
    return render.page(
        request,
        "admin/webhooks.html",
        deliveries=await payloads.status(parts),
        is_set=parts.endpoint is not None,
    )
