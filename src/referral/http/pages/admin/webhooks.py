"""The state of the deliveries to the webhook endpoint."""

from __future__ import annotations

from litestar import Response, get

from referral.http.pages import render
from referral.http.requests import AdminRequest, context
from referral.webhooks import operations


@get("/webhooks", include_in_schema=False)
async def status(request: AdminRequest) -> Response[str]:
    ctx = context(request)
    return render.page(
        request,
        "admin/webhooks.html",
        deliveries=await operations.status(ctx),
        is_set=ctx.endpoint is not None,
    )
