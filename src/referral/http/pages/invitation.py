"""The page to which an invite link leads."""

from __future__ import annotations

import re
from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.status_codes import HTTP_404_NOT_FOUND

from referral.context import Context
from referral.core import user_agent
from referral.core.errors import UnknownInviteCode
from referral.http import problems
from referral.http.pages import browser_session, inviter, link_preview, sign_in
from referral.http.requests import IS_HEAD, StrictRequest, context, header_values
from referral.service import friends
from referral.service.access import Authenticated

# Headers with which browsers announce that nobody has asked for the page yet, and what they say.
# Chromium sends the first (https://wicg.github.io/nav-speculation/prefetch.html), others the rest
_PURPOSES = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
_NOT_SHOWN = re.compile("prefetch|prerender|preview", re.IGNORECASE)


@get("/i/{invite_code:str}", include_in_schema=False)
async def invitation(request: StrictRequest, invite_code: FromPath[str]) -> Response[Any]:
    """Show who invites. For an unknown code, show a refusal and a form to sign in without it."""
    ctx = context(request)
    link_preview.prefer_language(request, ctx)
    signed_in = await browser_session.find(request)
    try:
        found = await inviter.look_up(request, ctx, invite_code)
    except UnknownInviteCode as refusal:
        return _without_invitation(request, ctx, refusal, signed_in)
    if _is_open(request):
        ctx.invite_opens.add(found.invite_code, ctx.clock())
    return sign_in.page(
        request,
        ctx,
        invite_code=found.invite_code,
        inviter=found.inviter,
        warning=inviter.warning(request, found, is_signed_in=signed_in is not None),
        signed_in=signed_in,
        activated=await friends.inviter_code(signed_in.user) if signed_in else None,
    )


def _is_open(request: StrictRequest) -> bool:
    """Return whether a person reads the page, as far as the request says so."""
    purposes = [value for name in _PURPOSES for value in header_values(request, name)]
    agent = next(iter(header_values(request, b"user-agent")), None)
    return not (
        request.scope.get(IS_HEAD)
        or any(map(_NOT_SHOWN.search, purposes))
        or user_agent.is_program(agent)
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
