"""Moving one's account to another phone."""

from __future__ import annotations

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
    InvalidPhone,
    InvalidRequest,
    PhoneTaken,
    SmsUnavailable,
    TooManyAttempts,
    TooManyRequests,
    UnsupportedPhone,
    WrongCode,
)
from referral.http.pages import (
    browser_session,
    cookies,
    flash,
    forms,
    pending_sign_in,
    phone_field,
    sign_in,
    tabs,
)
from referral.http.pages.pending_sign_in import PendingSignIn
from referral.http.pages.profile import ME
from referral.http.requests import StrictRequest, context
from referral.messaging import messages
from referral.service import access, profiles

PHONE = f"{ME}/phone"
CODE = f"{PHONE}/code"

_SEND_REFUSALS = (InvalidPhone, UnsupportedPhone, TooManyRequests, SmsUnavailable)
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
        example=phone_field.example(request, ctx),
    )


@post(
    PHONE,
    guards=[browser_session.signed_in],
    opt=forms.on(PHONE, "phone", "phone"),
    include_in_schema=False,
)
async def send_code(request: StrictRequest) -> Redirect:
    ctx = context(request)
    typed = phone = (await forms.read(request)).get("phone", "")
    try:
        phone = phone_field.read(request, ctx, typed)
        under_way = await _send(request, ctx, phone)
    except _SEND_REFUSALS as refusal:
        before = _own(request, pending_sign_in.on_its_way(request, phone, ctx, cookies.NEW_PHONE))
        if isinstance(refusal, TooManyRequests) and before:
            # Back, and the same phone again: its code is on its way already
            return flash.to(before.at(CODE))
        return flash.refused(
            request, PHONE, refusal, form="phone", field="phone", values={"phone": typed}
        )
    return flash.to(under_way.at(CODE))


@get(CODE, guards=[browser_session.signed_in], include_in_schema=False)
async def code(request: StrictRequest) -> Response[Any]:
    ctx = context(request)
    access.require_fresh(ctx, request.user)
    under_way = _own(request, pending_sign_in.find(request, cookies.NEW_PHONE))
    if under_way is None:
        return flash.notice(request, PHONE, "code_gone")
    return sign_in.code_page(request, ctx, under_way, path=CODE, back=PHONE)


@post(
    CODE,
    guards=[browser_session.signed_in],
    opt=forms.on(CODE, "code", "code"),
    include_in_schema=False,
)
async def change(request: StrictRequest) -> Redirect:
    ctx = context(request)
    fields = await forms.read(request)
    under_way = _own(request, pending_sign_in.sent_with(request, fields, cookies.NEW_PHONE))
    if under_way is None:
        return flash.notice(request, PHONE, "code_gone")
    try:
        _, message = await profiles.change_phone(
            ctx,
            request.user,
            token=under_way.token,
            code=fields.get("code", ""),
            caller=browser_session.caller(request),
        )
    except PhoneTaken as refusal:
        tabs.forget(request, cookies.NEW_PHONE, under_way.tab)
        return flash.refused(
            request,
            PHONE,
            refusal,
            form="phone",
            field="phone",
            values={"phone": phone_display.format_phone(under_way.phone)},
        )
    except _CODE_REFUSALS as refusal:
        if isinstance(refusal, ChallengeSpent) and await _is_done(request, ctx, under_way):
            # The form was sent twice
            return flash.to(ME)
        pending_sign_in.keep_for_its_page(request, under_way, cookies.NEW_PHONE)
        return flash.refused(request, under_way.at(CODE), refusal, form="code", field="code")
    tabs.forget(request, cookies.NEW_PHONE, under_way.tab)
    if message is None:
        return flash.to(ME)
    answer = flash.notice(request, ME, "phone_changed")
    answer.background = BackgroundTask(messages.notify, ctx, message)
    return answer


@post(
    f"{CODE}/again",
    guards=[browser_session.signed_in],
    opt=forms.on(CODE, "again"),
    include_in_schema=False,
)
async def send_again(request: StrictRequest) -> Redirect:
    """A new code to the same new phone. The one before stays good."""
    fields = await forms.read(request)
    before = _own(request, pending_sign_in.sent_with(request, fields, cookies.NEW_PHONE))
    if before is None:
        return flash.notice(request, PHONE, "code_gone")
    page = before.at(CODE)
    try:
        await _send(request, context(request), before.phone, tab=before.tab)
    except _SEND_REFUSALS as refusal:
        pending_sign_in.keep_for_its_page(request, before, cookies.NEW_PHONE)
        return flash.not_again(request, page, refusal)
    return flash.notice(request, page, "code_sent")


HANDLERS: list[Any] = [show, send_code, code, change, send_again]


async def _send(
    request: StrictRequest, ctx: Context, phone: str, *, tab: str = ""
) -> PendingSignIn:
    sent = await profiles.send_phone_code(
        ctx, request.user, phone=phone, caller=browser_session.caller(request)
    )
    under_way = PendingSignIn.of(sent, ctx=ctx, user_id=str(request.user.user.id), tab=tab)
    pending_sign_in.keep(request, under_way, cookies.NEW_PHONE)
    return under_way


def _own(request: StrictRequest, under_way: PendingSignIn | None) -> PendingSignIn | None:
    """Leave out one of whoever was signed in here before."""
    is_own = under_way is not None and under_way.user_id == str(request.user.user.id)
    return under_way if is_own else None


async def _is_done(request: StrictRequest, ctx: Context, under_way: PendingSignIn) -> bool:
    return (await profiles.get(ctx, request.user.user.id)).phone == under_way.phone
