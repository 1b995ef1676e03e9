"""The page after a sign-in, and what it tells an invited person."""

from __future__ import annotations

from litestar.response import Redirect

from referral.core.errors import Refusal
from referral.http.pages import account, flash
from referral.http.pages.pending_sign_in import PendingSignIn
from referral.http.requests import StrictRequest
from referral.service.sign_in import SignInResult

JOINED = "joined"
"""The notice after the activation of an invite code. On `/me` it says more."""


def redirect(
    request: StrictRequest,
    pending: PendingSignIn,
    result: SignInResult,
    then: str,
    invite_refusal: Refusal | None,
) -> Redirect:
    """Redirect to `then`, or to the account if it has to show why an invite code was refused.

    After the activation of an invite code, the page says who invited, and what was earned.
    """
    if invite_refusal is not None:
        return account.refuse_invite_code(request, invite_refusal, pending.invite_code)
    return flash.notice(request, then, JOINED) if result.has_activated else flash.redirect(then)
