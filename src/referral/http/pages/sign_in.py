"""Signing in: a phone, the code, and on to where one was going."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import QueryParameter
from litestar.response import Redirect
from litestar.status_codes import HTTP_200_OK

from referral.core import phone_display
from referral.core.budgets import OF_INVITES
from referral.core.errors import (
    ChallengeSpent,
    InviteAlreadyActivated,
    InviteLoop,
    OwnInviteCode,
    Refusal,
    TooManyRequests,
    UnknownInviteCode,
)
from referral.http.pages import cookies, flash, forms, pending, phone_field, render, visitors
from referral.http.pages.pending import Pending
from referral.http.requests import GivenParts, StrictRequest
from referral.service import login
from referral.service.login import SignIn
from referral.service.parts import Parts

HOME, CODE, PROFILE = "/", "/code", "/me"

_LONGEST_INVITE_CODE = 20  # as its field on the profile takes

Next = Annotated[str | None, QueryParameter(name="next")]
Anew = Annotated[str, QueryParameter()]


@get(HOME, include_in_schema=False)
async def home(
    request: StrictRequest, parts: GivenParts, then: Next = None, anew: Anew = ""
) -> Response[Any]:
    """anew: whether a code was to be entered that this browser does not know of."""
    if await visitors.find(request):
        return flash.to(forms.local_path(then) or PROFILE)
    return page(request, parts, then=forms.local_path(then), anew=bool(anew))


@post(HOME, include_in_schema=False)
async def send_code(request: StrictRequest, parts: GivenParts) -> Redirect:
    fields = await forms.read(request)
    typed = phone = fields.get("phone", "")
    # Browsers drop a cookie of over 4 KB, and the code that was sent with it
    invite_code = fields.get("invite_code", "")[:_LONGEST_INVITE_CODE]
    then = forms.local_path(fields.get("next")) or ""
    try:
        phone = phone_field.read(request, parts, typed)
        await send(request, parts, phone, invite_code=invite_code, then=then)
    except Refusal as refusal:
        before = pending.find(request)
        if isinstance(refusal, TooManyRequests) and before and before.is_good_for(phone, parts):
            # Back, and the same phone again: its code is on its way already
            return flash.to(CODE)
        where, values = _form_of(invite_code, then), {"phone": typed}
        return flash.refused(request, where, refusal, form="sign_in", field="phone", values=values)
    return flash.to(CODE)


@get(CODE, include_in_schema=False)
async def code(request: StrictRequest, parts: GivenParts) -> Response[Any]:
    under_way = pending.find(request)
    if under_way is None:
        return flash.to(f"{HOME}?anew=1")
    visitor = await visitors.find(request)
    back = _form_of(under_way.invite_code, forms.local_path(under_way.next))
    return code_page(
        request, parts, under_way, back=PROFILE if visitor else back, is_signed_in=bool(visitor)
    )


@post(CODE, include_in_schema=False)
async def verify(request: StrictRequest, parts: GivenParts) -> Redirect:
    """What the form carries counts: its page may be older than the last code that was sent."""
    fields = await forms.read(request)
    under_way = pending.find(request)
    if not fields.get("token") and under_way:
        # Of a program that fills in what people do
        fields |= {
            "token": under_way.token,
            "invite_code": under_way.invite_code,
            "next": under_way.next,
        }
    then = forms.local_path(fields.get("next")) or PROFILE
    invite_code = fields.get("invite_code", "")[:_LONGEST_INVITE_CODE]
    try:
        sign_in, refused = await _verify(request, parts, fields, invite_code)
    except Refusal as refusal:
        if isinstance(refusal, ChallengeSpent) and await visitors.find(request):
            # The form was sent twice, or is one of before
            return flash.to(then)
        return flash.refused(request, CODE, refusal, form="code", field="code")
    await visitors.enter(request, sign_in)
    cookies.clear(request, cookies.SIGN_IN)
    if refused is None:
        return flash.to(then)
    values = {"invite_code": invite_code}
    return flash.refused(
        request, PROFILE, refused, form="inviter", field="invite_code", values=values
    )


@post(f"{CODE}/again", include_in_schema=False)
async def send_again(request: StrictRequest, parts: GivenParts) -> Redirect:
    """A new code to the same phone. The one before stays good."""
    before = pending.find(request)
    if before is None:
        return flash.to(CODE)
    try:
        await send(request, parts, before.phone, invite_code=before.invite_code, then=before.next)
    except Refusal as refusal:
        return flash.not_again(request, CODE, refusal)
    return flash.notice(request, CODE, "code_sent")


@post("/sign-out", include_in_schema=False)
async def sign_out(request: StrictRequest) -> Redirect:
    await visitors.leave(request)
    cookies.clear(request, cookies.SIGN_IN, cookies.NEW_PHONE)
    return flash.notice(request, HOME, "signed_out")


@post("/phone-form", status_code=HTTP_200_OK, include_in_schema=False)
async def phone_form(request: StrictRequest, parts: GivenParts) -> dict[str, str | None]:
    """A phone that is being typed, as its country writes it: for the script.

    In a body, since proxies write paths with their queries into their logs.
    """
    phone = (await forms.read(request)).get("phone", "")
    region = phone_field.rules(request, parts).default_region
    spelt, country = phone_display.as_typed(phone, region)
    return {"form": spelt, "country": country}


HANDLERS = [home, send_code, code, verify, send_again, sign_out, phone_form]


async def send(
    request: StrictRequest, parts: Parts, phone: str, *, invite_code: str = "", then: str = ""
) -> None:
    """Send a code, and keep in this browser what it is for. Raises what `login.send_code` does."""
    sent = await login.send_code(
        parts,
        phone=phone,
        device_token=cookies.get(request, cookies.DEVICE),
        caller=visitors.caller(request),
    )
    pending.keep(request, Pending.of(sent, parts=parts, invite_code=invite_code, then=then))


def page(
    request: StrictRequest, parts: Parts, *, status: int = HTTP_200_OK, **context: Any
) -> Response[str]:
    """Where a phone is entered."""
    context = {
        "invite_code": "",
        "inviter": None,
        "visitor": None,
        "refusal": None,
        "then": "",
        "anew": False,
        **context,
    }
    return render.page(
        request,
        "sign_in.html",
        status=status,
        example=phone_field.example(request, parts),
        is_simulated=parts.gateway.echoes_code,
        **context,
    )


def code_page(
    request: StrictRequest, parts: Parts, under_way: Pending, **context: Any
) -> Response[str]:
    """Where a code is entered.

    back, action, again: where its links and forms lead. is_signed_in: whether by this code only
    something is confirmed.
    """
    context = {
        "back": HOME,
        "action": CODE,
        "again": f"{CODE}/again",
        "is_signed_in": False,
        **context,
    }
    seconds = under_way.seconds_to_wait(parts)
    return render.page(request, "code.html", pending=under_way, seconds=seconds, **context)


def _form_of(invite_code: str, then: str | None) -> str:
    """The sign-in form that somebody came from, with the invitation or the way on that it had."""
    if invite_code.isalnum():
        return f"/i/{invite_code}"
    return forms.with_next(HOME, then) if then else HOME


async def _verify(
    request: StrictRequest, parts: Parts, fields: dict[str, str], invite_code: str
) -> tuple[SignIn, Refusal | None]:
    """Sign in; without the invitation where the rules refuse it, and then with what they say."""
    caller = visitors.caller(request)
    token, code = fields.get("token", ""), forms.digits(fields.get("code", ""))
    refused: Refusal | None = None
    if invite_code:
        try:
            sign_in = await login.verify(
                parts, token=token, code=code, invite_code=invite_code, caller=caller
            )
        except (UnknownInviteCode, OwnInviteCode, InviteAlreadyActivated, InviteLoop) as refusal:
            refused = refusal
        except TooManyRequests as refusal:
            if refusal.limit[0] not in OF_INVITES:
                raise
            refused = refusal
        else:
            return sign_in, None
    without = await login.verify(parts, token=token, code=code, invite_code=None, caller=caller)
    return without, refused
