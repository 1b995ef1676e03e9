"""The page to which an invite link leads."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.status_codes import HTTP_404_NOT_FOUND

from referral.context import Context
from referral.core.errors import UnknownInviteCode
from referral.http import problems
from referral.http.pages import browser_session, inviter, sign_in
from referral.http.requests import StrictRequest, context
from referral.service.access import Authenticated


@get("/i/{invite_code:str}", include_in_schema=False)
async def invitation(request: StrictRequest, invite_code: FromPath[str]) -> Response[Any]:
    """Show who invites. For an unknown code, show a refusal and a form to sign in without it."""
    ctx = context(request)
    signed_in = await browser_session.find(request)
    try:
        found = await inviter.look_up(request, ctx, invite_code)
    except UnknownInviteCode as refusal:
        return _without_invitation(request, ctx, refusal, signed_in)
    return sign_in.page(
        request,
        ctx,
        invite_code=found.invite_code,
        inviter=inviter.first_name(found),
        warning=inviter.warning(request, found, is_signed_in=signed_in is not None),
        signed_in=signed_in,
    )


def _without_invitation(
    request: StrictRequest,
    ctx: Context,
    refusal: UnknownInviteCode,
    signed_in: Authenticated | None,
) -> Response[str]:
    problems.log_refusal(request, refusal)
    return sign_in.page(
        request,
        ctx,
        status=HTTP_404_NOT_FOUND,
        signed_in=signed_in,
        refusal=inviter.explain(request, refusal),
    )
