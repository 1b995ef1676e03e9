"""The page to which an invite link leads."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.status_codes import HTTP_404_NOT_FOUND

from referral.context import Parts
from referral.core import invite_code as invite_codes
from referral.core.errors import TooManyRequests, UnknownInviteCode
from referral.http import problems
from referral.http.pages import browser_session, render, sign_in, texts
from referral.http.requests import GivenParts, StrictRequest
from referral.service import invitations
from referral.service.access import SignedIn
from referral.service.invitations import Invitation


@get("/i/{invite_code:str}", include_in_schema=False)
async def invitation(
    request: StrictRequest, parts: GivenParts, invite_code: FromPath[str]
) -> Response[Any]:
    """Show whose invitation it is. A bad code says so, and one can go on without it."""
    visitor = await browser_session.find(request)
    try:
        found = await _look_up(request, parts, invite_code)
    except UnknownInviteCode as refusal:
        return _without_invitation(request, parts, refusal, visitor)
    return sign_in.page(
        request,
        parts,
        invite_code=found.invite_code,
        inviter=found.inviter_name.split()[0] if found.inviter_name else None,
        visitor=visitor,
    )


async def _look_up(request: StrictRequest, parts: Parts, text: str) -> Invitation:
    """Raises UnknownInviteCode."""
    try:
        return await invitations.look_up(parts, text, caller=browser_session.caller(request))
    except TooManyRequests as refusal:
        # Others behind the same address used its tries up: the invitation still counts
        problems.record(request, refusal)
        return Invitation(invite_code=invite_codes.read(text, parts.invite_url), inviter_name=None)


def _without_invitation(
    request: StrictRequest,
    parts: Parts,
    refusal: UnknownInviteCode,
    visitor: SignedIn | None,
) -> Response[str]:
    problems.record(request, refusal)
    return sign_in.page(
        request,
        parts,
        status=HTTP_404_NOT_FOUND,
        visitor=visitor,
        refusal=texts.refusal(
            refusal.code,
            language=render.language(request),
            seconds=refusal.retry_after,
            attempts_left=None,
        ),
    )
