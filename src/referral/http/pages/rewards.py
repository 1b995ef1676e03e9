"""All rewards of the signed-in user."""

from __future__ import annotations

from litestar import Response, get

from referral.http.api.fields import PageCursor
from referral.http.pages import browser_session
from referral.http.requests import StrictRequest, context
from referral.rewards import overview

_PAGE_SIZE = 50


@get("/me/rewards", guards=[browser_session.signed_in], include_in_schema=False)
async def rewards(request: StrictRequest, cursor: PageCursor = None) -> Response[str]:
    page = await overview.page(
        context(request), request.user.user.id, cursor=cursor, limit=_PAGE_SIZE
    )
    return browser_session.page(request, "rewards.html", page=page, cursor=cursor)
