"""Verifying a sign-in code on the pages, with or without an invite code."""

from __future__ import annotations

from referral.core.errors import (
    ActivationTooLate,
    InvitationRequired,
    InviteAlreadyActivated,
    InviteLoop,
    InvitesUsedUp,
    OwnInviteCode,
    Refusal,
    TooManyRequests,
    UnknownInviteCode,
)
from referral.http.pages import browser_session, inviter
from referral.http.pages.pending_sign_in import PendingSignIn
from referral.http.requests import StrictRequest, context
from referral.limits.guess_policy import INVITE_CODE_LIMITS
from referral.service import sign_in
from referral.service.sign_in import SignInResult

_INVITE_REFUSALS = (
    UnknownInviteCode,
    OwnInviteCode,
    InviteAlreadyActivated,
    ActivationTooLate,
    InviteLoop,
    InvitesUsedUp,
)


async def verify(
    request: StrictRequest, pending: PendingSignIn, code: str
) -> tuple[SignInResult | None, Refusal | None]:
    """Sign in, and activate the invite code of the pending sign-in if there is one.

    If the rules refuse the invite code, sign in without it and return that refusal too. Without a
    result, nobody is signed in: a new phone needs an invite code, or another one. The refusal then
    says why.
    """
    ctx, caller = context(request), browser_session.caller(request)
    invite_refusal: Refusal | None = None
    if invite_code := inviter.parse_code(pending.invite_code, ctx):
        try:
            result = await sign_in.verify(
                ctx, token=pending.token, code=code, invite_code=invite_code, caller=caller
            )
        except _INVITE_REFUSALS as refusal:
            invite_refusal = refusal
        except TooManyRequests as refusal:
            if refusal.limit.name not in INVITE_CODE_LIMITS:
                raise
            invite_refusal = refusal
        else:
            return result, None
    try:
        result = await sign_in.verify(
            ctx, token=pending.token, code=code, invite_code=None, caller=caller
        )
    except InvitationRequired as required:
        return None, invite_refusal or required
    return result, invite_refusal
