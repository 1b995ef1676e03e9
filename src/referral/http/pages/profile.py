"""The signed-in user's portal: rewards, invite link and friends."""

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
from referral.http import qr
from referral.http.pages import account, browser_session, flash, forms, sharing, welcome
from referral.http.requests import StrictRequest, context
from referral.rewards import overview
from referral.service import friends, invitations, places, profiles

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
    ctx, user = context(request), request.user.user
    profile = await profiles.get(ctx, user.id)
    newest = await friends.page(ctx, request.user, cursor=None, limit=NEWEST)
    message = flash.pending(request)
    has_joined = message is not None and message.code == welcome.JOINED
    return browser_session.page(
        request,
        "profile.html",
        profile=profile,
        qr=Markup(qr.inline(profile.invite_link)),  # noqa: S704 - generated SVG
        friends=newest.items,
        rewards=await overview.get(ctx, user.id),
        invites_left=await places.left(ctx, user),
        may_activate=ctx.sign_up.may_activate(
            since=user.voided_at or user.created_at, now=ctx.clock()
        ),
        has_joined=has_joined and profile.activated_invite_code,
        inviter=await friends.inviter_name(user) if has_joined else None,
        now=ctx.clock(),
        share_links=sharing.links,
    )


@post(
    f"{ME}/inviter",
    guards=[browser_session.signed_in],
    opt=forms.on(account.ACCOUNT, "inviter", "invite_code"),
    include_in_schema=False,
)
async def activate(request: StrictRequest) -> Redirect:
    invite_code = (await forms.read(request)).get("invite_code", "")
    try:
        await invitations.activate(
            context(request), request.user, invite_code, caller=browser_session.caller(request)
        )
    except _INVITE_REFUSALS as refusal:
        return account.refuse_invite_code(request, refusal, invite_code)
    return flash.notice(request, ME, welcome.JOINED)


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


HANDLERS: list[Any] = [show, activate, invite_svg, invite_png]
