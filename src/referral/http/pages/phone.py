"""Changing the phone of the account."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.response import Redirect

from referral.context import Context
from referral.core import phone_display
from referral.core.errors import (
    ChallengeExpired,
    ChallengeInvalid,
    ChallengeSpent,
    InvalidRequest,
    PhoneTaken,
    TooManyAttempts,
    TooManyRequests,
    WrongCode,
)
from referral.http.pages import (
    browser_session,
    channel_buttons,
    flash,
    forms,
    pending_sign_in,
    phone_field,
    sign_in,
)
from referral.http.pages.account import ACCOUNT
from referral.http.pages.pending_sign_in import PendingSignIn
from referral.http.requests import StrictRequest, context
from referral.messaging import messages
from referral.service import access, profiles
from referral.service.codes import DEFAULT_OPTIONS, SendOptions

PHONE = "/me/phone"
CODE = f"{PHONE}/code"

_CODE_REFUSALS = (
    InvalidRequest,
    ChallengeInvalid,
    ChallengeExpired,
    ChallengeSpent,
    WrongCode,
    TooManyAttempts,
    TooManyRequests,
)


@get(PHONE, guards=[browser_session.signed_in], include_in_schema=False)
async def show(request: StrictRequest) -> Response[str]:
    ctx = context(request)
    access.require_fresh(ctx, request.user)
    return browser_session.page(
        request,
        "phone.html",
        phone=request.user.user.phone,
        phone_field=phone_field.of(request, ctx, user=request.user.user),
        labels=channel_buttons.LABELS,
    )


@post(
    PHONE,
    guards=[browser_session.signed_in],
    opt=forms.on(PHONE, "phone", "phone", "country", channel_buttons.FIELD),
    include_in_schema=False,
)
async def send_code(request: StrictRequest) -> Redirect:
    ctx = context(request)
    fields = await forms.read(request)
    phone = fields.get(phone_field.PHONE, "")
    try:
        phone = phone_field.parse(request, ctx, fields)
        pending = await _send(request, ctx, phone, options=channel_buttons.parse(fields, ctx))
    except sign_in.SEND_REFUSALS as refusal:
        earlier = pending_sign_in.find_for_phone(request, phone, ctx, user_id=_user_id(request))
        if isinstance(refusal, TooManyRequests) and earlier:
            # The user went back and entered the same phone again: its code was sent already
            return flash.redirect(earlier.url(CODE))
        return flash.refused(
            request,
            PHONE,
            refusal,
            form="phone",
            **phone_field.refused(refusal, fields, ctx),
        )
    return flash.redirect(pending.url(CODE))


@get(CODE, guards=[browser_session.signed_in], include_in_schema=False)
async def code(request: StrictRequest) -> Response[Any]:
    ctx = context(request)
    access.require_fresh(ctx, request.user)
    pending = pending_sign_in.find(request, user_id=_user_id(request))
    if pending is None:
        return flash.notice(request, PHONE, "code_gone")
    return sign_in.code_page(
        request, ctx, pending, path=CODE, back=f"{PHONE}?{pending_sign_in.TAB}={pending.tab}"
    )


@post(
    CODE,
    guards=[browser_session.signed_in],
    opt=forms.on(CODE, "code", "code"),
    include_in_schema=False,
)
async def change(request: StrictRequest) -> Redirect:
    ctx = context(request)
    fields = await forms.read(request)
    pending = pending_sign_in.find_in_form(request, fields, user_id=_user_id(request))
    if pending is None:
        return flash.notice(request, PHONE, "code_gone")
    try:
        _, message = await profiles.change_phone(
            ctx,
            request.user,
            token=pending.token,
            code=fields.get("code", ""),
            caller=browser_session.caller(request),
        )
    except PhoneTaken as refusal:
        pending_sign_in.clear(request, pending)
        return flash.refused(
            request,
            PHONE,
            refusal,
            form="phone",
            field="phone",
            values={"phone": phone_display.format_phone(pending.phone)},
        )
    except _CODE_REFUSALS as refusal:
        if isinstance(refusal, ChallengeSpent) and await _is_changed(request, ctx, pending):
            # The form was submitted twice
            return flash.redirect(ACCOUNT)
        pending_sign_in.restore(request, pending)
        return flash.refused(request, pending.url(CODE), refusal, form="code", field="code")
    pending_sign_in.clear(request, pending)
    if message is None:
        return flash.redirect(ACCOUNT)
    response = flash.notice(request, ACCOUNT, "phone_changed")
    response.background = BackgroundTask(messages.notify, ctx, message)
    return response


@post(
    f"{CODE}/again",
    guards=[browser_session.signed_in],
    opt=forms.on(CODE, "again", channel_buttons.FIELD),
    include_in_schema=False,
)
async def send_again(request: StrictRequest) -> Redirect:
    fields = await forms.read(request)
    pending = pending_sign_in.find_in_form(request, fields, user_id=_user_id(request))
    if pending is None:
        return flash.notice(request, PHONE, "code_gone")
    sending = partial(_send, request, context(request), pending.phone, tab=pending.tab)
    return await sign_in.resend(request, pending, fields, sending, url=pending.url(CODE))


HANDLERS: list[Any] = [show, send_code, code, change, send_again]


async def _send(
    request: StrictRequest,
    ctx: Context,
    phone: str,
    *,
    tab: str = "",
    options: SendOptions = DEFAULT_OPTIONS,
) -> PendingSignIn:
    sent = await profiles.send_phone_code(
        ctx, request.user, phone=phone, caller=browser_session.caller(request), options=options
    )
    pending = PendingSignIn.of(sent, ctx=ctx, user_id=_user_id(request), tab=tab)
    pending_sign_in.keep(request, pending)
    return pending


def _user_id(request: StrictRequest) -> str:
    return str(request.user.user.id)


async def _is_changed(request: StrictRequest, ctx: Context, pending: PendingSignIn) -> bool:
    return (await profiles.get(ctx, request.user.user.id)).phone == pending.phone
