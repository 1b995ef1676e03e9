"""The page after a sign-in, and what it tells an invited person."""

from __future__ import annotations

from uuid import UUID

from litestar.response import Redirect

from referral.core.errors import Refusal
from referral.http.pages import flash, texts
from referral.http.pages.pending_sign_in import PendingSignIn
from referral.http.requests import StrictRequest, context
from referral.rewards import overview
from referral.service.sign_in import SignInResult

_PROFILE = "/me"


async def redirect(
    request: StrictRequest,
    pending: PendingSignIn,
    result: SignInResult,
    then: str,
    invite_refusal: Refusal | None,
) -> Redirect:
    """Redirect to `then`, or to the profile if it has to show why an invite code was refused.

    After the first sign-in of an invited person, the page says what it earned.
    """
    if invite_refusal is not None:
        return flash.refused(
            request,
            _PROFILE,
            invite_refusal,
            form="inviter",
            field="invite_code",
            values={"invite_code": pending.invite_code},
        )
    if not (pending.invite_code and result.is_new_user):
        return flash.redirect(then)
    earned = await overview.earned(context(request), UUID(result.profile.id))
    if not earned:
        return flash.redirect(then)
    sums = [f"{texts.number(each.available + each.pending)} {each.unit}" for each in earned]
    return flash.notice(request, then, "welcome", values={"earned": ", ".join(sums)})
