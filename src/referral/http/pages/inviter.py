"""Look up the inviter of an invite code, for the pages that show the invitation."""

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
    """Return the invitation of a code and "", or None and the text that explains its refusal.

    Without a code, return None and "".
    """
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
    """Return the invitation of a code. Raises UnknownInviteCode.

    If the address has made too many tries, return the code unchecked and without a name.
    """
    try:
        return await invitations.look_up(ctx, text, caller=browser_session.caller(request))
    except TooManyRequests as refusal:
        # Other people behind the same address may have used up the tries
        problems.log_refusal(request, refusal)
        return Invitation(invite_code=invite_codes.parse(text, ctx.invite_url), inviter_name=None)


def explain(request: StrictRequest, refusal: UnknownInviteCode) -> str:
    """Return the text that explains a refusal, in the language of the page."""
    return texts.refusal(
        refusal.code,
        language=render.language(request),
        seconds=refusal.retry_after,
        attempts_left=None,
    )
