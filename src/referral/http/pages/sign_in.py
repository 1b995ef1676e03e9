"""Signing in: a phone, the code, and on to where one was going."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import QueryParameter
from litestar.response import Redirect
from litestar.status_codes import HTTP_200_OK

from referral.context import Context
from referral.core import invite_code as invite_codes
from referral.core import phone_display
from referral.core.errors import (
    ChallengeSpent,
    InviteAlreadyActivated,
    InviteLoop,
    OwnInviteCode,
    Refusal,
    TooManyRequests,
    UnknownInviteCode,
)
from referral.http.pages import (
    browser_session,
    cookies,
    flash,
    forms,
    pending_sign_in,
    phone_field,
    render,
    tabs,
)
from referral.http.pages.pending_sign_in import PendingSignIn
from referral.http.requests import StrictRequest, context
from referral.limits.guess_policy import OF_INVITES
from referral.service import sign_in
from referral.service.sign_in import SignInResult

HOME, CODE, PROFILE = "/", "/code", "/me"

_LONGEST_UNREADABLE = 20

Next = Annotated[str | None, QueryParameter(name="next")]
InviteCode = Annotated[str, QueryParameter()]


@get(HOME, include_in_schema=False)
async def home(request: StrictRequest, then: Next = None) -> Response[Any]:
    if await browser_session.find(request):
        return flash.to(forms.local_path(then) or PROFILE)
    return page(request, context(request), then=forms.local_path(then))


@post(HOME, opt=forms.on(HOME, "sign_in", "phone"), include_in_schema=False)
async def send_code(request: StrictRequest) -> Redirect:
    ctx = context(request)
    fields = await forms.read(request)
    typed = phone = fields.get("phone", "")
    invite_code = _invite_code(fields.get("invite_code", ""), ctx)
    then = forms.local_path(fields.get("next")) or ""
    try:
        phone = phone_field.read(request, ctx, typed)
        under_way = await send(request, ctx, phone, invite_code=invite_code, then=then)
    except Refusal as refusal:
        before = pending_sign_in.on_its_way(request, phone, ctx)
        if isinstance(refusal, TooManyRequests) and before:
            # Back, and the same phone again: its code is on its way already
            under_way = before.leading(invite_code=invite_code, then=then)
            pending_sign_in.keep(request, under_way)
            return flash.to(under_way.at(CODE))
        where, values = _form_of(invite_code, then), {"phone": typed}
        return flash.refused(request, where, refusal, form="sign_in", field="phone", values=values)
    return flash.to(under_way.at(CODE))


@get(CODE, include_in_schema=False)
async def code(request: StrictRequest, invite_code: InviteCode = "") -> Response[Any]:
    """invite_code: kept in the address, for a tab whose cookie is gone."""
    under_way = pending_sign_in.find(request)
    if under_way is None:
        where = _form_of(invite_code, None)
        return flash.to(f"{where}?anew=1")
    visitor = await browser_session.find(request)
    back = _form_of(under_way.invite_code, forms.local_path(under_way.next))
    return code_page(
        request,
        context(request),
        under_way,
        back=PROFILE if visitor else back,
        is_signed_in=bool(visitor),
    )


@post(CODE, opt=forms.on(CODE, "code", "code"), include_in_schema=False)
async def verify(request: StrictRequest) -> Redirect:
    fields = await forms.read(request)
    under_way = pending_sign_in.sent_with(request, fields)
    if under_way is None:
        return flash.to(forms.page_of(request))
    then = forms.local_path(under_way.next) or PROFILE
    try:
        sign_in, refused = await _verify(
            request, context(request), under_way, fields.get("code", "")
        )
    except Refusal as refusal:
        if isinstance(refusal, ChallengeSpent) and await browser_session.find(request):
            # The form was sent twice, or is one of before
            return flash.to(then)
        pending_sign_in.keep_for_its_page(request, under_way)
        return flash.refused(request, under_way.at(CODE), refusal, form="code", field="code")
    await browser_session.acquire(request, sign_in)
    tabs.forget(request, cookies.SIGN_IN, under_way.tab)
    if refused is None:
        return flash.to(then)
    values = {"invite_code": under_way.invite_code}
    return flash.refused(
        request, PROFILE, refused, form="inviter", field="invite_code", values=values
    )


@post(f"{CODE}/again", opt=forms.on(CODE, "again"), include_in_schema=False)
async def send_again(request: StrictRequest) -> Redirect:
    """A new code to the same phone. The one before stays good."""
    ctx = context(request)
    before = pending_sign_in.sent_with(request, await forms.read(request))
    if before is None:
        return flash.to(forms.page_of(request))
    page = before.at(CODE)
    try:
        await send(
            request,
            ctx,
            before.phone,
            invite_code=_invite_code(before.invite_code, ctx),
            then=forms.local_path(before.next) or "",
            tab=before.tab,
        )
    except Refusal as refusal:
        pending_sign_in.keep_for_its_page(request, before)
        return flash.not_again(request, page, refusal)
    return flash.notice(request, page, "code_sent")


@post("/sign-out", opt=forms.on(HOME, "sign_out"), include_in_schema=False)
async def sign_out(request: StrictRequest) -> Redirect:
    await browser_session.leave(request)
    tabs.forget_all(request)
    return flash.notice(request, HOME, "signed_out")


@post(
    "/phone-form",
    status_code=HTTP_200_OK,
    opt=forms.on(HOME, "sign_in"),
    include_in_schema=False,
)
async def phone_form(request: StrictRequest) -> dict[str, str | None]:
    """A phone that is being typed, as its country writes it: for the script.

    In a body, since proxies write paths with their queries into their logs.
    """
    phone = (await forms.read(request)).get("phone", "")
    region = phone_field.rules(request, context(request)).default_region
    spelt, country = phone_display.format_as_typed(phone, region)
    return {"form": spelt, "country": country}


HANDLERS = [home, send_code, code, verify, send_again, sign_out, phone_form]


async def send(
    request: StrictRequest,
    ctx: Context,
    phone: str,
    *,
    invite_code: str = "",
    then: str = "",
    tab: str = "",
) -> PendingSignIn:
    """Send a code, and keep in this browser what it is for. Raises what `login.send_code` does.

    tab: which one asks, if it has asked before.
    """
    sent = await sign_in.send_code(
        ctx,
        phone=phone,
        device_token=cookies.get(request, cookies.DEVICE),
        caller=browser_session.caller(request),
    )
    under_way = PendingSignIn.of(sent, ctx=ctx, invite_code=invite_code, then=then, tab=tab)
    pending_sign_in.keep(request, under_way)
    return under_way


def page(
    request: StrictRequest, ctx: Context, *, status: int = HTTP_200_OK, **context: Any
) -> Response[str]:
    """Where a phone is entered."""
    context = {
        "invite_code": "",
        "inviter": None,
        "visitor": None,
        "refusal": None,
        "then": "",
        # Whether a code was to be entered that this browser does not know of
        "anew": "anew" in request.query_params,
        "has_cookies": bool(request.cookies),
        **context,
    }
    return render.page(
        request,
        "sign_in.html",
        status=status,
        example=phone_field.example(request, ctx),
        is_simulated=ctx.gateway.echoes_code,
        **context,
    )


def code_page(
    request: StrictRequest,
    ctx: Context,
    under_way: PendingSignIn,
    *,
    path: str = CODE,
    **context: Any,
) -> Response[str]:
    """Where a code is entered.

    back: where its link leads. path: under which its forms are taken. is_signed_in: whether by
    this code only something is confirmed.
    """
    context = {"back": HOME, "is_signed_in": False, **context}
    return render.page(
        request,
        "code.html",
        pending=under_way,
        action=under_way.at(path),
        again=under_way.at(f"{path}/again"),
        seconds=under_way.seconds_to_wait(ctx),
        is_over=under_way.is_over(ctx),
        **context,
    )


def _invite_code(text: str, ctx: Context) -> str:
    """The invite code of a form, or what is none, which is refused after the sign-in.

    It is short: browsers drop a cookie of over 4 KB, and the code that was sent with it.
    """
    try:
        return invite_codes.parse(text, ctx.invite_url)
    except UnknownInviteCode:
        return text if len(text) <= _LONGEST_UNREADABLE else "?"


def _form_of(invite_code: str, then: str | None) -> str:
    """The sign-in form that somebody came from, with the invitation or the way on that it had."""
    if invite_code.isascii() and invite_code.isalnum():
        return f"/i/{invite_code}"
    return forms.with_next(HOME, then) if then else HOME


async def _verify(
    request: StrictRequest, ctx: Context, under_way: PendingSignIn, code: str
) -> tuple[SignInResult, Refusal | None]:
    """Sign in; without the invitation where the rules refuse it, and then with what they say."""
    caller = browser_session.caller(request)
    token = under_way.token
    refused: Refusal | None = None
    if invite_code := _invite_code(under_way.invite_code, ctx):
        try:
            signed_in = await sign_in.verify(
                ctx, token=token, code=code, invite_code=invite_code, caller=caller
            )
        except (UnknownInviteCode, OwnInviteCode, InviteAlreadyActivated, InviteLoop) as refusal:
            refused = refusal
        except TooManyRequests as refusal:
            if refusal.limit.name not in OF_INVITES:
                raise
            refused = refusal
        else:
            return signed_in, None
    without = await sign_in.verify(ctx, token=token, code=code, invite_code=None, caller=caller)
    return without, refused
