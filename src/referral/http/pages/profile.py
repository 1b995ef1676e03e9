"""The signed-in user's profile and invitation."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect
from markupsafe import Markup

from referral.core.errors import (
    ActivationTooLate,
    InvalidRequest,
    InviteAlreadyActivated,
    InviteLoop,
    InvitesUsedUp,
    OwnInviteCode,
    TooManyRequests,
    UnknownInviteCode,
)
from referral.core.profile_fields import PARSERS
from referral.http import qr
from referral.http.pages import browser_session, flash, forms
from referral.http.requests import StrictRequest, context
from referral.rewards import overview
from referral.service import invitations, profiles

ME = "/me"
NEWEST = 10

_INVITE_REFUSALS = (
    InvalidRequest,
    UnknownInviteCode,
    OwnInviteCode,
    InviteAlreadyActivated,
    ActivationTooLate,
    InviteLoop,
    InvitesUsedUp,
    TooManyRequests,
)


@get(ME, guards=[browser_session.signed_in], include_in_schema=False)
async def show(request: StrictRequest) -> Response[str]:
    profile = await profiles.get(context(request), request.user.user.id)
    newest = await invitations.page(request.user, cursor=None, limit=NEWEST)
    return browser_session.page(
        request,
        "profile.html",
        profile=profile,
        qr=Markup(qr.inline(profile.invite_link)),  # noqa: S704 - generated SVG
        invitees=newest.items,
        rewards=await overview.get(context(request), request.user.user.id),
    )


@post(
    ME,
    guards=[browser_session.signed_in],
    opt=forms.on(ME, "profile", *PARSERS),
    include_in_schema=False,
)
async def change(request: StrictRequest) -> Redirect:
    """Change the submitted fields; an empty one is cleared."""
    submitted = await forms.read(request)
    # No other fields, because the cookie that returns them is small
    typed = {field: text for field, text in submitted.items() if field in PARSERS}
    try:
        await profiles.change(
            context(request),
            request.user,
            {field: text or None for field, text in typed.items()},
        )
    except InvalidRequest as refusal:
        return flash.refused(request, ME, refusal, form="profile", field="name", values=typed)
    return flash.notice(request, ME, "saved")


@post(
    f"{ME}/inviter",
    guards=[browser_session.signed_in],
    opt=forms.on(ME, "inviter", "invite_code"),
    include_in_schema=False,
)
async def activate(request: StrictRequest) -> Redirect:
    invite_code = (await forms.read(request)).get("invite_code", "")
    try:
        await invitations.activate(
            context(request), request.user, invite_code, caller=browser_session.caller(request)
        )
    except _INVITE_REFUSALS as refusal:
        return flash.refused(
            request,
            ME,
            refusal,
            form="inviter",
            field="invite_code",
            values={"invite_code": invite_code},
        )
    return flash.notice(request, ME, "invite_activated")


@get(
    f"{ME}/invite.svg",
    guards=[browser_session.signed_in],
    media_type=qr.SVG,
    include_in_schema=False,
)
async def invite_svg(request: StrictRequest) -> bytes:
    return qr.svg(invitations.invite_link(context(request), request.user.user.invite_code))


@get(
    f"{ME}/invite.png",
    guards=[browser_session.signed_in],
    media_type=qr.PNG,
    include_in_schema=False,
)
async def invite_png(request: StrictRequest) -> bytes:
    return qr.png(invitations.invite_link(context(request), request.user.user.invite_code))


HANDLERS: list[Any] = [show, change, activate, invite_svg, invite_png]
