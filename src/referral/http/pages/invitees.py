"""All invitees of the signed-in user."""

from __future__ import annotations

from litestar import Response, get

from referral.http.api.fields import PageCursor
from referral.http.pages import browser_session
from referral.http.requests import StrictRequest
from referral.service import invitations

_PAGE_SIZE = 50


@get("/me/invitees", guards=[browser_session.signed_in], include_in_schema=False)
async def invitees(request: StrictRequest, cursor: PageCursor = None) -> Response[str]:
    page = await invitations.page(request.user, cursor=cursor, limit=_PAGE_SIZE)
    return browser_session.page(
        request,
        "invitees.html",
        page=page,
        cursor=cursor,
        count=request.user.user.invitee_count,
    )
