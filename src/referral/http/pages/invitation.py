"""The page to which an invite link leads."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.status_codes import HTTP_404_NOT_FOUND, HTTP_429_TOO_MANY_REQUESTS

from referral.core.errors import TooManyRequests, UnknownInviteCode
from referral.http import problems
from referral.http.pages import render, sign_in, texts, visitors
from referral.http.requests import GivenParts, StrictRequest
from referral.service import invitations
from referral.service.access import SignedIn
from referral.service.parts import Parts


@get("/i/{invite_code:str}", include_in_schema=False)
async def invitation(
    request: StrictRequest, parts: GivenParts, invite_code: FromPath[str]
) -> Response[Any]:
    """Whose invitation it is. A bad code says so, and one can go on without it."""
    visitor = await visitors.find(request)
    try:
        found = await invitations.look_up(parts, invite_code, caller=visitors.caller(request))
    except (UnknownInviteCode, TooManyRequests) as refusal:
        return _without_invitation(request, parts, refusal, visitor)
    return sign_in.page(
        request,
        parts,
        invite_code=found.invite_code,
        inviter=found.inviter_name.split()[0] if found.inviter_name else None,
        visitor=visitor,
    )


def _without_invitation(
    request: StrictRequest,
    parts: Parts,
    refusal: UnknownInviteCode | TooManyRequests,
    visitor: SignedIn | None,
) -> Response[str]:
    problems.record(request, refusal)
    limited = isinstance(refusal, TooManyRequests)
    page = sign_in.page(
        request,
        parts,
        status=HTTP_429_TOO_MANY_REQUESTS if limited else HTTP_404_NOT_FOUND,
        visitor=visitor,
        refusal=texts.refusal(
            refusal.code,
            language=render.language(request),
            seconds=refusal.retry_after,
            attempts_left=None,
        ),
    )
    if limited:
        page.headers["Retry-After"] = str(refusal.retry_after)
    return page
