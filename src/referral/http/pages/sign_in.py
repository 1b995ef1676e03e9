"""Signing in: the phone, the code, and the redirect to the page that asked for the sign-in."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import QueryParameter
from litestar.response import Redirect
from litestar.status_codes import HTTP_200_OK

from referral.context import Context
from referral.core import invite_code as invite_codes
from referral.core import phone_display
from referral.core.errors import (
    ChallengeSpent,
    InvalidPhone,
    InviteAlreadyActivated,
    InviteLoop,
    OwnInviteCode,
    Refusal,
    SmsUnavailable,
    TooManyRequests,
    UnknownInviteCode,
    UnsupportedPhone,
)
from referral.http.pages import (
    app_request,
    browser_session,
    cookies,
    flash,
    forms,
    inviter,
    pending_sign_in,
    phone_field,
    render,
    tabs,
    texts,
)
from referral.http.pages.app_request import AppRequest
from referral.http.pages.pending_sign_in import PendingSignIn
from referral.http.requests import StrictRequest, context
from referral.limits.guess_policy import INVITE_CODE_LIMITS
from referral.rewards import progress
from referral.service import sign_in
from referral.service.sign_in import SignInResult

HOME, CODE, PROFILE = "/", "/code", "/me"
SEND_REFUSALS = (InvalidPhone, UnsupportedPhone, TooManyRequests, SmsUnavailable)

_LONGEST_INVALID = 20  # characters

Next = Annotated[str | None, QueryParameter(name="next")]
InviteCode = Annotated[str, QueryParameter()]


@get(HOME, include_in_schema=False)
async def home(request: StrictRequest, then: Next = None) -> Response[Any]:
    app = await app_request.find(request)
    if app is not None:
        return await app_request.redirect_if_done(request, app) or await _home_of_app(request, app)
    if await browser_session.find(request):
        return flash.redirect(forms.local_path(then) or PROFILE)
    return page(request, context(request), then=forms.local_path(then))


@post(HOME, opt=forms.on(HOME, "sign_in", "phone"), include_in_schema=False)
async def send_code(request: StrictRequest) -> Redirect:
    ctx, app = context(request), await app_request.find(request)
    fields = await forms.read(request)
    typed = phone = fields.get("phone", "")
    invite_code = _invite_code(fields.get("invite_code", ""), ctx)
    then = forms.local_path(fields.get("next")) or ""
    try:
        phone = phone_field.parse(request, ctx, typed)
        pending = await send(request, ctx, phone, invite_code=invite_code, then=then)
    except SEND_REFUSALS as refusal:
        earlier = pending_sign_in.find_for_phone(request, phone, ctx)
        if isinstance(refusal, TooManyRequests) and earlier:
            # The user went back and entered the same phone again: its code was sent already
            pending = earlier.in_new_tab(invite_code=invite_code, then=then)
            pending_sign_in.keep(request, pending)
            return flash.redirect(pending.url(CODE, **app_request.query(app)))
        start, values = _start_url(app, invite_code, then), {"phone": typed}
        return flash.refused(request, start, refusal, form="sign_in", field="phone", values=values)
    return flash.redirect(pending.url(CODE, **app_request.query(app)))


@get(CODE, include_in_schema=False)
async def code(request: StrictRequest, invite_code: InviteCode = "") -> Response[Any]:
    """Show the form for the code.

    invite_code: of the URL, which keeps it in case the cookie is gone.
    """
    app = await app_request.find(request)
    pending = pending_sign_in.find(request)
    if pending is None:
        return flash.redirect(_restart_url(app, invite_code))
    # For an app this is always a sign-in, even if somebody is signed in already
    is_signed_in = app is None and bool(await browser_session.find(request))
    start = _start_url(app, pending.invite_code, forms.local_path(pending.next))
    return code_page(
        request,
        context(request),
        pending,
        path=CODE,
        back=PROFILE if is_signed_in else start,
        is_signed_in=is_signed_in,
        app=app,
    )


@post(CODE, opt=forms.on(CODE, "code", "code"), include_in_schema=False)
async def verify(request: StrictRequest) -> Redirect:
    app = await app_request.find(request)
    fields = await forms.read(request)
    pending = pending_sign_in.find_in_form(request, fields)
    if pending is None:
        return flash.redirect(forms.page_of(request))
    then = app.url(app_request.CONTINUE) if app else forms.local_path(pending.next) or PROFILE
    try:
        result, invite_refusal = await _verify(
            request, context(request), pending, fields.get("code", "")
        )
    except Refusal as refusal:
        if isinstance(refusal, ChallengeSpent) and await browser_session.find(request):
            # The form was submitted twice, or is an old one
            return flash.redirect(then)
        pending_sign_in.restore(request, pending)
        url = pending.url(CODE, **app_request.query(app))
        return flash.refused(request, url, refusal, form="code", field="code")
    await browser_session.start(request, result)
    pending_sign_in.clear(request, pending)
    if app is not None:
        return app_request.after_sign_in(request, app, result, invite_refusal)
    if invite_refusal is None:
        return await _welcome(request, pending, result, then)
    values = {"invite_code": pending.invite_code}
    return flash.refused(
        request, PROFILE, invite_refusal, form="inviter", field="invite_code", values=values
    )


@post(f"{CODE}/again", opt=forms.on(CODE, "again"), include_in_schema=False)
async def send_again(request: StrictRequest) -> Redirect:
    ctx, app = context(request), await app_request.find(request)
    pending = pending_sign_in.find_in_form(request, await forms.read(request))
    if pending is None:
        return flash.redirect(forms.page_of(request))
    invite_code = _invite_code(pending.invite_code, ctx)
    then = forms.local_path(pending.next) or ""
    sending = send(request, ctx, pending.phone, invite_code=invite_code, then=then, tab=pending.tab)
    return await resend(request, pending, sending, url=pending.url(CODE, **app_request.query(app)))


@post("/sign-out", opt=forms.on(HOME, "sign_out"), include_in_schema=False)
async def sign_out(request: StrictRequest) -> Redirect:
    await browser_session.end(request)
    tabs.clear_all(request)
    return flash.notice(request, HOME, "signed_out")


@post(
    "/phone-form",
    status_code=HTTP_200_OK,
    opt=forms.on(HOME, "sign_in"),
    include_in_schema=False,
)
async def phone_form(request: StrictRequest) -> dict[str, str | None]:
    """Format a phone as its country does while it is being typed. For pages.js.

    The phone is in the body because proxies log paths with their queries.
    """
    phone = (await forms.read(request)).get("phone", "")
    region = phone_field.rules(request, context(request)).default_region
    formatted, country = phone_display.format_as_typed(phone, region)
    return {"form": formatted, "country": country}


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
    """Send a code, and keep it in this browser as pending.

    tab: the key of the tab, if a code was sent in it before. Raises one of SEND_REFUSALS.
    """
    sent = await sign_in.send_code(
        ctx,
        phone=phone,
        device_token=cookies.get(request, cookies.DEVICE),
        caller=browser_session.caller(request),
    )
    pending = PendingSignIn.of(sent, ctx=ctx, invite_code=invite_code, then=then, tab=tab)
    pending_sign_in.keep(request, pending)
    return pending


async def resend(
    request: StrictRequest,
    pending: PendingSignIn,
    sending: Awaitable[PendingSignIn],
    *,
    url: str,
) -> Redirect:
    """Send another code to the same phone. The earlier one stays valid.

    sending: sends it. url: of the page where the code is entered.
    """
    try:
        await sending
    except SEND_REFUSALS as refusal:
        pending_sign_in.restore(request, pending)
        return flash.resend_refused(request, url, refusal)
    return flash.notice(request, url, "code_sent")


def page(
    request: StrictRequest, ctx: Context, *, status: int = HTTP_200_OK, **context: Any
) -> Response[str]:
    """Render the page where a phone is entered."""
    context = {
        "invite_code": "",
        "inviter": None,
        "signed_in": None,
        "refusal": None,
        "then": "",
        "app": None,
        "action": HOME,
        "phone": "",
        # The app's `id_token_hint` is not that of the person who is signed in here
        "expects_other": False,
        # The code page redirected here because this browser has no pending code
        "restarted": "restarted" in request.query_params,
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
    pending: PendingSignIn,
    *,
    path: str,
    back: str,
    is_signed_in: bool = False,
    app: AppRequest | None = None,
) -> Response[str]:
    """Render the page where a code is entered.

    path: of its forms. back: the path of the link beside the phone. is_signed_in: whether this is a
    reauthentication. app: the request that the person is here for.
    """
    query = app_request.query(app)
    return render.page(
        request,
        "code.html",
        pending=pending,
        app=app,
        action=pending.url(path, **query),
        again=pending.url(f"{path}/again", **query),
        seconds=pending.seconds_until_resend(ctx),
        is_expired=pending.is_expired(ctx),
        back=back,
        is_signed_in=is_signed_in,
    )


def _invite_code(text: str, ctx: Context) -> str:
    """Parse an invite code. An invalid one is kept, and refused when the user signs in.

    A long invalid one becomes "?", because browsers drop a cookie of over 4 KB, and with it the
    pending code.
    """
    try:
        return invite_codes.parse(text, ctx.invite_url)
    except UnknownInviteCode:
        return text if len(text) <= _LONGEST_INVALID else "?"


async def _home_of_app(request: StrictRequest, app: AppRequest) -> Response[str]:
    ctx = context(request)
    signed_in = await browser_session.find(request)
    found, refusal = await inviter.find(request, app.authorization_request.invite_code)
    phone = app.expected_phone(signed_in)
    return page(
        request,
        ctx,
        app=app,
        action=app.url(HOME),
        invite_code=found.invite_code if found else "",
        inviter=inviter.first_name(found) if found else None,
        refusal=refusal or None,
        phone=phone_display.format_phone(phone) if phone else "",
        expects_other=signed_in is not None and not app.expects(signed_in),
    )


async def _welcome(
    request: StrictRequest, pending: PendingSignIn, result: SignInResult, then: str
) -> Redirect:
    """Redirect to the next page. An invited person reads there what the first sign-in earned."""
    if not (pending.invite_code and result.is_new_user):
        return flash.redirect(then)
    earned = await progress.earned(context(request), UUID(result.profile.id))
    if not earned:
        return flash.redirect(then)
    sums = [f"{texts.number(each.available + each.pending)} {each.unit}" for each in earned]
    return flash.notice(request, then, "welcome", values={"earned": ", ".join(sums)})


def _restart_url(app: AppRequest | None, invite_code: str) -> str:
    """Return the URL of the sign-in page, for a browser without a pending code."""
    if app is not None:
        return app.url(HOME, restarted="1")
    return f"{_start_url(None, invite_code, None)}?restarted=1"


def _start_url(app: AppRequest | None, invite_code: str, then: str | None) -> str:
    """Return the URL of the sign-in page with this request, invitation or next path."""
    if app is not None:
        return app.url(HOME)
    if invite_code.isascii() and invite_code.isalnum():
        return f"/i/{invite_code}"
    return forms.with_next(HOME, then) if then else HOME


async def _verify(
    request: StrictRequest, ctx: Context, pending: PendingSignIn, code: str
) -> tuple[SignInResult, Refusal | None]:
    """Sign in, and activate the invite code if there is one.

    If the rules refuse the invite code, sign in without it and return that refusal too.
    """
    caller = browser_session.caller(request)
    token = pending.token
    invite_refusal: Refusal | None = None
    if invite_code := _invite_code(pending.invite_code, ctx):
        try:
            result = await sign_in.verify(
                ctx, token=token, code=code, invite_code=invite_code, caller=caller
            )
        except (UnknownInviteCode, OwnInviteCode, InviteAlreadyActivated, InviteLoop) as refusal:
            invite_refusal = refusal
        except TooManyRequests as refusal:
            if refusal.limit.name not in INVITE_CODE_LIMITS:
                raise
            invite_refusal = refusal
        else:
            return result, None
    result = await sign_in.verify(ctx, token=token, code=code, invite_code=None, caller=caller)
    return result, invite_refusal
