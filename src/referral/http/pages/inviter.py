"""Whose invitation an invite code is, for the pages that show it."""

from __future__ import annotations

from referral.context import Context
from referral.core import invite_code as invite_codes
from referral.core.errors import TooManyRequests, UnknownInviteCode
from referral.http import problems
from referral.http.pages import browser_session, render, texts
from referral.http.requests import StrictRequest, context
from referral.service import invitations
from referral.service.invitations import Invitation


async def find(request: StrictRequest, text: str) -> tuple[Invitation | None, str]:
    """Return the invitation of a code, and why there is none. Both are empty for an empty text."""
    if not text:
        return None, ""
    try:
        return await look_up(request, context(request), text), ""
    except UnknownInviteCode as refusal:
        problems.log_refusal(request, refusal)
        return None, explain(request, refusal)


def first_name(invitation: Invitation) -> str | None:
    """Return the inviter's first name."""
    return invitation.inviter_name.split()[0] if invitation.inviter_name else None


async def look_up(request: StrictRequest, ctx: Context, text: str) -> Invitation:
    """Raise UnknownInviteCode if nobody has this code."""
    try:
        return await invitations.look_up(ctx, text, caller=browser_session.caller(request))
    except TooManyRequests as refusal:
        # The address has exhausted its tries, maybe by others behind it: keep the code, unchecked
        problems.log_refusal(request, refusal)
        return Invitation(invite_code=invite_codes.parse(text, ctx.invite_url), inviter_name=None)


def explain(request: StrictRequest, refusal: UnknownInviteCode) -> str:
    return texts.refusal(
        refusal.code,
        language=render.language(request),
        seconds=refusal.retry_after,
        attempts_left=None,
    )
