"""The page to which an invite link leads."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.status_codes import HTTP_404_NOT_FOUND

from referral.context import Context
from referral.core import invite_code as invite_codes
from referral.core.errors import TooManyRequests, UnknownInviteCode
from referral.http import problems
from referral.http.pages import browser_session, render, sign_in, texts
from referral.http.requests import StrictRequest, context
from referral.service import invitations
from referral.service.access import Authenticated
from referral.service.invitations import Invitation


@get("/i/{invite_code:str}", include_in_schema=False)
async def invitation(request: StrictRequest, invite_code: FromPath[str]) -> Response[Any]:
    """Show who invites. For an unknown code, show a refusal and a form to sign in without it."""
    ctx = context(request)
    signed_in = await browser_session.find(request)
    try:
        found = await _look_up(request, ctx, invite_code)
    except UnknownInviteCode as refusal:
        return _without_invitation(request, ctx, refusal, signed_in)
    return sign_in.page(
        request,
        ctx,
        invite_code=found.invite_code,
        inviter=found.inviter_name.split()[0] if found.inviter_name else None,
        signed_in=signed_in,
    )


async def _look_up(request: StrictRequest, ctx: Context, text: str) -> Invitation:
    """Look up an invite code. Raises UnknownInviteCode."""
    try:
        return await invitations.look_up(ctx, text, caller=browser_session.caller(request))
    except TooManyRequests as refusal:
        # The tries of this address are exhausted, perhaps by other people behind it: keep the code
        # without checking it
        problems.log_refusal(request, refusal)
        return Invitation(invite_code=invite_codes.parse(text, ctx.invite_url), inviter_name=None)


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
        refusal=texts.refusal(
            refusal.code,
            language=render.language(request),
            seconds=refusal.retry_after,
            attempts_left=None,
        ),
    )
