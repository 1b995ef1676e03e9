"""Signing in: the phone, the code, and the redirect to the page that asked for the sign-in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import QueryParameter
from litestar.response import Redirect
from litestar.status_codes import HTTP_200_OK

from referral.context import Context
from referral.core import phone_display
from referral.core.channels import Channel
from referral.core.errors import (
    ChallengeSpent,
    InvalidPhone,
    InvalidRequest,
    InvitationRequired,
    Refusal,
    SmsUnavailable,
    TooManyRequests,
    UnsupportedPhone,
)
from referral.core.sign_up import CLOSED
from referral.http.pages import (
    app_request,
    browser_session,
    channel_buttons,
    cookies,
    flash,
    forms,
    inviter,
    link_preview,
    pending_sign_in,
    phone_field,
    render,
    site,
    tabs,
    verification,
    welcome,
)
from referral.http.pages.app_request import AppRequest
from referral.http.pages.pending_sign_in import PendingSignIn
from referral.http.requests import StrictRequest, context
from referral.service import sign_in
from referral.service.codes import DEFAULT_OPTIONS, SendOptions

HOME, CODE, PROFILE = "/", "/code", "/me"
SEND_REFUSALS = (InvalidPhone, InvalidRequest, UnsupportedPhone, TooManyRequests, SmsUnavailable)

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


@post(
    HOME,
    opt=forms.on(HOME, "sign_in", "phone", "country", channel_buttons.FIELD),
    include_in_schema=False,
)
async def send_code(request: StrictRequest) -> Redirect:
    ctx, app = context(request), await app_request.find(request)
    fields = await forms.read(request)
    phone = fields.get(phone_field.PHONE, "")
    invite_code = inviter.parse_code(fields.get("invite_code", ""), ctx)
    then = forms.local_path(fields.get("next")) or ""
    try:
        phone = phone_field.parse(request, ctx, fields)
        options = channel_buttons.parse(fields, ctx)
        pending = await send(
            request, ctx, phone, invite_code=invite_code, then=then, options=options
        )
    except SEND_REFUSALS as refusal:
        earlier = pending_sign_in.find_for_phone(request, phone, ctx)
        if isinstance(refusal, TooManyRequests) and earlier:
            # The user went back and entered the same phone again: its code was sent already
            pending = earlier.in_new_tab(invite_code=invite_code, then=then)
            pending_sign_in.keep(request, pending)
            return flash.redirect(pending.url(CODE, **app_request.query(app)))
        return flash.refused(
            request,
            _start_url(app, invite_code, then),
            refusal,
            form="sign_in",
            **phone_field.refused(refusal, fields, ctx),
        )
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
    then = forms.local_path(pending.next)
    start = _start_url(app, pending.invite_code, then, tab=pending.tab)
    return code_page(
        request,
        context(request),
        pending,
        path=CODE,
        back=PROFILE if is_signed_in else start,
        is_signed_in=is_signed_in,
        app=app,
    )


@post(CODE, opt=forms.on(CODE, "code", "code", "invite_code"), include_in_schema=False)
async def verify(request: StrictRequest) -> Redirect:
    app = await app_request.find(request)
    fields = await forms.read(request)
    pending = pending_sign_in.find_in_form(request, fields)
    if pending is None:
        return flash.redirect(forms.page_of(request))
    if "invite_code" in fields:
        pending = pending.asking(inviter.parse_code(fields["invite_code"], context(request)))
    then = app.url(app_request.CONTINUE) if app else forms.local_path(pending.next) or PROFILE
    try:
        result, invite_refusal = await verification.verify(request, pending, fields.get("code", ""))
    except Refusal as refusal:
        if isinstance(refusal, ChallengeSpent) and await browser_session.find(request):
            # The form was submitted twice, or is an old one
            return flash.redirect(then)
        keep = pending_sign_in.keep if pending.asks_invite_code else pending_sign_in.restore
        keep(request, pending)
        url = pending.url(CODE, **app_request.query(app))
        return flash.refused(request, url, refusal, form="code", field="code")
    if result is None:
        return _ask_for_invitation(request, app, pending, invite_refusal, fields)
    await browser_session.start(request, result)
    pending_sign_in.clear(request, pending)
    if app is not None:
        return app_request.after_sign_in(request, app, result, invite_refusal)
    return welcome.redirect(request, pending, result, then, invite_refusal)


@post(f"{CODE}/again", opt=forms.on(CODE, "again", channel_buttons.FIELD), include_in_schema=False)
async def send_again(request: StrictRequest) -> Redirect:
    ctx, app = context(request), await app_request.find(request)
    fields = await forms.read(request)
    pending = pending_sign_in.find_in_form(request, fields)
    if pending is None:
        return flash.redirect(forms.page_of(request))
    sending = partial(
        send,
        request,
        ctx,
        pending.phone,
        invite_code=inviter.parse_code(pending.invite_code, ctx),
        asks_invite_code=pending.asks_invite_code,
        then=forms.local_path(pending.next) or "",
        tab=pending.tab,
    )
    url = pending.url(CODE, **app_request.query(app))
    return await resend(request, pending, fields, sending, url=url)


@post("/sign-out", opt=forms.on(HOME, "sign_out"), include_in_schema=False)
async def sign_out(request: StrictRequest) -> Redirect:
    await browser_session.end(request)
    tabs.clear_all(request)
    return flash.notice(request, HOME, "signed_out")


HANDLERS = [home, send_code, code, verify, send_again, sign_out]


async def send(
    request: StrictRequest,
    ctx: Context,
    phone: str,
    *,
    invite_code: str = "",
    asks_invite_code: bool = False,
    then: str = "",
    tab: str = "",
    options: SendOptions = DEFAULT_OPTIONS,
) -> PendingSignIn:
    """Send a code, and keep it in this browser as pending.

    tab: the key of the tab, if a code was sent in it before. Raises one of SEND_REFUSALS.
    """
    sent = await sign_in.send_code(
        ctx,
        phone=phone,
        device_token=cookies.get(request, cookies.DEVICE),
        options=options,
        caller=browser_session.caller(request),
    )
    pending = PendingSignIn.of(sent, ctx=ctx, invite_code=invite_code, then=then, tab=tab)
    if asks_invite_code:
        pending = pending.asking(invite_code)
    pending_sign_in.keep(request, pending)
    return pending


async def resend(
    request: StrictRequest,
    pending: PendingSignIn,
    fields: dict[str, str],
    sending: Callable[..., Awaitable[PendingSignIn]],
    *,
    url: str,
) -> Redirect:
    """Send another code to the same phone. The earlier one stays pending if this is refused.

    fields: of the form. sending: sends it as its argument `options` says. url: of the page where
    the code is entered.
    """
    is_call = False
    try:
        options = channel_buttons.parse(fields, context(request), last=pending.channel)
        is_call = options.channel is Channel.VOICE
        await sending(options=options)
    except SEND_REFUSALS as refusal:
        pending_sign_in.restore(request, pending)
        return flash.resend_refused(request, url, refusal, is_call=is_call)
    return flash.notice(request, url, "code_sent")


def page(
    request: StrictRequest, ctx: Context, *, status: int = HTTP_200_OK, **context: Any
) -> Response[str]:
    """Render the page where a phone is entered."""
    context = {
        "invite_code": "",
        "inviter": None,
        "signed_in": None,
        # The invite code that the signed-in user has activated
        "activated": None,
        "refusal": None,
        # Why nobody can join by this invitation
        "warning": "",
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
        "invitation.html" if context["invite_code"] else "sign_in.html",
        status=status,
        phone_field=phone_field.of(request, ctx),
        labels=channel_buttons.LABELS,
        link_preview=link_preview.facts(site.of(request.app.state), render.language(request).tag),
        masked_phone=inviter.masked_phone(request, ctx, context["signed_in"]),
        is_simulated=ctx.channels.echoes_code,
        sign_up=ctx.sign_up.mode,
        needs_support=ctx.sign_up.mode == CLOSED and not context["signed_in"],
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
        seconds_left=pending.seconds_left(ctx),
        back=back,
        is_signed_in=is_signed_in,
        labels=channel_buttons.LABELS,
    )


def _ask_for_invitation(
    request: StrictRequest,
    app: AppRequest | None,
    pending: PendingSignIn,
    refusal: Refusal | None,
    fields: dict[str, str],
) -> Redirect:
    """Redirect back to the page of the code, which keeps it and asks for an invite code."""
    pending = pending.asking(pending.invite_code)
    pending_sign_in.keep(request, pending)
    typed = {
        "code": fields.get("code", ""),
        "invite_code": fields.get("invite_code", pending.invite_code),
    }
    return flash.refused(
        request,
        pending.url(CODE, **app_request.query(app)),
        refusal or InvitationRequired(),
        form="code",
        field="invite_code",
        values=typed,
    )


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
        inviter=found.inviter if found else None,
        refusal=refusal or None,
        warning=inviter.warning(request, found, is_signed_in=False) if found else "",
        phone=phone_display.format_phone(phone) if phone else "",
        expects_other=signed_in is not None and not app.expects(signed_in),
    )


def _restart_url(app: AppRequest | None, invite_code: str) -> str:
    """Return the URL of the sign-in page, for a browser without a pending code."""
    if app is not None:
        return app.url(HOME, restarted="1")
    return f"{_start_url(None, invite_code, None)}?restarted=1"


def _start_url(app: AppRequest | None, invite_code: str, then: str | None, *, tab: str = "") -> str:
    """Return the URL of the sign-in page with this request, invitation or next path.

    tab: the key of the tab whose phone is filled in again.
    """
    query = {pending_sign_in.TAB: tab} if tab else {}
    if app is not None:
        return app.url(HOME, **query)
    is_invitation = invite_code.isascii() and invite_code.isalnum()
    path = f"/i/{invite_code}" if is_invitation else HOME
    if then and not is_invitation:
        query["next"] = then
    return f"{path}?{urlencode(query, safe='/')}" if query else path
