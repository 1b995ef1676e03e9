"""Moving one's account to another phone."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.response import Redirect

from referral.core import phone_display
from referral.core.errors import (
    ChallengeExpired,
    ChallengeInvalid,
    ChallengeSpent,
    InvalidPhone,
    InvalidRequest,
    PhoneTaken,
    SignInAgain,
    SmsUnavailable,
    TooManyAttempts,
    TooManyRequests,
    UnsupportedPhone,
    WrongCode,
)
from referral.http.pages import (
    cookies,
    flash,
    forms,
    parcel,
    pending,
    phone_field,
    sign_in,
    visitors,
)
from referral.http.pages.pending import Pending
from referral.http.pages.profile import ME
from referral.http.requests import GivenParts, StrictRequest
from referral.service import access, messages, profiles
from referral.service.parts import Parts

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


class NewPhone(msgspec.Struct, frozen=True):
    """A code under way to somebody's new phone; whoever signs in here next is somebody else."""

    user_id: str
    pending: Pending


@get(PHONE, guards=[visitors.signed_in], include_in_schema=False)
async def show(request: StrictRequest, parts: GivenParts) -> Response[str]:
    access.require_fresh(parts, request.user)
    return visitors.page(
        request,
        "phone.html",
        phone=request.user.user.phone,
        example=phone_field.example(request, parts),
    )


@post(PHONE, guards=[visitors.signed_in], include_in_schema=False)
async def send_code(request: StrictRequest, parts: GivenParts) -> Redirect:
    typed = phone = (await forms.read(request)).get("phone", "")
    try:
        phone = phone_field.read(request, parts, typed)
        await _send(request, parts, phone)
    except _SEND_REFUSALS as refusal:
        before = _pending(request)
        if isinstance(refusal, TooManyRequests) and before and before.is_good_for(phone, parts):
            # Back, and the same phone again: its code is on its way already
            return flash.to(CODE)
        return flash.refused(
            request, PHONE, refusal, form="phone", field="phone", values={"phone": typed}
        )
    return flash.to(CODE)


@get(CODE, guards=[visitors.signed_in], include_in_schema=False)
async def code(request: StrictRequest, parts: GivenParts) -> Response[Any]:
    access.require_fresh(parts, request.user)
    under_way = _pending(request)
    if under_way is None:
        return flash.to(PHONE)
    return sign_in.code_page(
        request, parts, under_way, back=PHONE, action=CODE, again=f"{CODE}/again"
    )


@post(CODE, guards=[visitors.signed_in], include_in_schema=False)
async def change(request: StrictRequest, parts: GivenParts) -> Redirect:
    fields = await forms.read(request)
    under_way = _pending(request)
    try:
        _, message = await profiles.change_phone(
            parts,
            request.user,
            # The form's own: the page may be older than the last code
            token=fields.get("token") or (under_way.token if under_way else ""),
            code=forms.digits(fields.get("code", "")),
            caller=visitors.caller(request),
        )
    except PhoneTaken as refusal:
        cookies.clear(request, cookies.NEW_PHONE)
        return flash.refused(
            request,
            PHONE,
            refusal,
            form="phone",
            field="phone",
            values={"phone": phone_display.spell(under_way.phone)} if under_way else None,
        )
    except _CODE_REFUSALS as refusal:
        if isinstance(refusal, ChallengeSpent) and await _is_done(request, parts, under_way):
            # The form was sent twice
            return flash.to(ME)
        return flash.refused(request, CODE, refusal, form="code", field="code")
    cookies.clear(request, cookies.NEW_PHONE)
    if message is None:
        return flash.to(ME)
    answer = flash.notice(request, ME, "phone_changed")
    answer.background = BackgroundTask(messages.notify, parts, message)
    return answer


@post(f"{CODE}/again", guards=[visitors.signed_in], include_in_schema=False)
async def send_again(request: StrictRequest, parts: GivenParts) -> Redirect:
    """A new code to the same new phone. The one before stays good."""
    under_way = _pending(request)
    if under_way is None:
        return flash.to(PHONE)
    try:
        await _send(request, parts, under_way.phone)
    except SignInAgain as refusal:
        # Back to the page of this form, which is none by itself
        return flash.confirm_first(request, refusal, CODE)
    except _SEND_REFUSALS as refusal:
        return flash.not_again(request, CODE, refusal)
    return flash.notice(request, CODE, "code_sent")


HANDLERS: list[Any] = [show, send_code, code, change, send_again]


async def _send(request: StrictRequest, parts: Parts, phone: str) -> None:
    sent = await profiles.send_phone_code(
        parts, request.user, phone=phone, caller=visitors.caller(request)
    )
    under_way = Pending.of(sent, parts=parts)
    cookies.put(
        request,
        cookies.NEW_PHONE,
        parcel.write(NewPhone(str(request.user.user.id), under_way)),
        seconds=pending.SECONDS,
    )


def _pending(request: StrictRequest) -> Pending | None:
    kept = parcel.read(cookies.get(request, cookies.NEW_PHONE), NewPhone)
    return kept.pending if kept and kept.user_id == str(request.user.user.id) else None


async def _is_done(request: StrictRequest, parts: Parts, under_way: Pending | None) -> bool:
    if under_way is None:
        return True
    return (await profiles.get(parts, request.user.user.id)).phone == under_way.phone
