"""All invitees of the signed-in user."""

from __future__ import annotations

from litestar import Response, get

from referral.http.api.fields import PageCursor
from referral.http.pages import browser_session
from referral.http.requests import StrictRequest, context
from referral.service import friends

_PAGE_SIZE = 50


@get("/me/invitees", guards=[browser_session.signed_in], include_in_schema=False)
async def invitees(request: StrictRequest, cursor: PageCursor = None) -> Response[str]:
    ctx = context(request)
    page = await friends.page(ctx, request.user, cursor=cursor, limit=_PAGE_SIZE)
    return browser_session.page(
        request,
        "invitees.html",
        page=page,
        cursor=cursor,
        now=ctx.clock(),
        count=request.user.user.invitee_count,
    )
