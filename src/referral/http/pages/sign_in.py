"""Signing in: a phone, the code, and on to where one was going."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect
from litestar.status_codes import HTTP_200_OK, HTTP_404_NOT_FOUND, HTTP_429_TOO_MANY_REQUESTS

from referral import i18n
from referral.core import phone as phones
from referral.core.errors import (
    ChallengeSpent,
    InvalidPhone,
    InviteAlreadyActivated,
    InviteLoop,
    OwnInviteCode,
    Refusal,
    TooManyRequests,
    UnknownInviteCode,
    UnsupportedPhone,
)
from referral.http import problems
from referral.http.pages import cookies, flash, forms, parcel, render, site, texts, visitors
from referral.http.requests import GivenParts, StrictRequest
from referral.service import invitations, login
from referral.service.codes import SentCode
from referral.service.login import SignIn
from referral.service.parts import Parts

HOME, CODE, PROFILE = "/", "/code", "/me"

# An hour: long enough to find the message, and afterwards to ask for another
_PENDING_SECONDS = 3600
_YEAR = 31_536_000  # seconds
_LONGEST_INVITE_CODE = 20  # as its field on the profile takes
_INVITE_REFUSALS = (
    UnknownInviteCode,
    OwnInviteCode,
    InviteAlreadyActivated,
    InviteLoop,
    TooManyRequests,
)

Next = Annotated[str | None, QueryParameter(name="next")]


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A code that was sent: what its page shows, and what comes after it.

    expires_at, resend_at: Unix seconds. code: while sending is simulated.
    """

    token: str
    phone: str
    code_length: int
    expires_at: int
    resend_at: int
    code: str = ""
    invite_code: str = ""
    next: str = ""

    @classmethod
    def of(cls, sent: SentCode, *, now: float, invite_code: str = "", then: str = "") -> Pending:
        return cls(
            token=sent.token,
            phone=sent.phone,
            code_length=sent.code_length,
            expires_at=int(now) + sent.expires_in,
            resend_at=int(now) + sent.resend_in,
            code=sent.code or "",
            invite_code=invite_code,
            next=then,
        )


@get(HOME, include_in_schema=False)
async def home(request: StrictRequest, parts: GivenParts, then: Next = None) -> Response[Any]:
    if await visitors.find(request):
        return flash.to(forms.local_path(then) or PROFILE)
    return _sign_in_page(request, parts, then=forms.local_path(then))


@get("/i/{invite_code:str}", include_in_schema=False)
async def invitation(
    request: StrictRequest, parts: GivenParts, invite_code: FromPath[str]
) -> Response[Any]:
    """Whose invitation it is. A bad code says so, and one can go on without it."""
    caller = visitors.caller(request)
    try:
        found = await invitations.look_up(parts, invite_code, caller=caller)
    except (UnknownInviteCode, TooManyRequests) as refusal:
        return _without_invitation(request, parts, refusal)
    return _sign_in_page(
        request,
        parts,
        invite_code=found.invite_code,
        inviter=found.inviter_name.split()[0] if found.inviter_name else None,
        visitor=await visitors.find(request),
    )


@post(HOME, include_in_schema=False)
async def send_code(request: StrictRequest, parts: GivenParts) -> Redirect:
    fields = await forms.read(request)
    phone = fields.get("phone", "")
    # Browsers drop a cookie of over 4 KB, and the code that was sent with it
    invite_code = fields.get("invite_code", "")[:_LONGEST_INVITE_CODE]
    then = forms.local_path(fields.get("next")) or ""
    try:
        sent = await login.send_code(
            parts,
            phone=phone,
            device_token=cookies.get(request, cookies.DEVICE),
            caller=visitors.caller(request),
        )
    except Refusal as refusal:
        pending = _pending(request)
        if isinstance(refusal, TooManyRequests) and is_good_for(pending, phone, parts):
            # Back, and the same phone again: its code is on its way already
            return flash.to(CODE)
        return flash.refused(
            request,
            _form_of(invite_code, then),
            refusal,
            form="sign_in",
            field="phone",
            values={"phone": phone},
        )
    _keep(request, Pending.of(sent, now=_now(parts), invite_code=invite_code, then=then))
    return flash.to(CODE)


@get(CODE, include_in_schema=False)
async def code(request: StrictRequest, parts: GivenParts) -> Response[Any]:
    pending = _pending(request)
    if pending is None:
        return flash.to(HOME)
    back = _form_of(pending.invite_code, forms.local_path(pending.next))
    return code_page(request, parts, pending, back=back)


@post(CODE, include_in_schema=False)
async def verify(request: StrictRequest, parts: GivenParts) -> Redirect:
    fields = await forms.read(request)
    pending = _pending(request)
    # The form's own: the page may be older than the last code
    token = fields.get("token") or (pending.token if pending else "")
    then = (forms.local_path(pending.next) if pending else None) or PROFILE
    invite_code = pending.invite_code if pending else ""
    try:
        sign_in, refused = await _verify(request, parts, token, fields.get("code", ""), invite_code)
    except Refusal as refusal:
        if isinstance(refusal, ChallengeSpent) and await visitors.find(request):
            # The form was sent twice, or is one of before
            return flash.to(then)
        return flash.refused(request, CODE, refusal, form="code", field="code")
    await visitors.enter(request, sign_in)
    cookies.clear(request, cookies.SIGN_IN)
    if refused is not None:
        return flash.refused(
            request,
            PROFILE,
            refused,
            form="inviter",
            field="invite_code",
            values={"invite_code": invite_code},
        )
    return flash.to(then)


@post(f"{CODE}/again", include_in_schema=False)
async def send_again(request: StrictRequest, parts: GivenParts) -> Redirect:
    """A new code to the same phone. The one before stays good."""
    pending = _pending(request)
    if pending is None:
        return flash.to(HOME)
    try:
        sent = await login.send_code(
            parts,
            phone=pending.phone,
            device_token=cookies.get(request, cookies.DEVICE),
            caller=visitors.caller(request),
        )
    except Refusal as refusal:
        return flash.refused(request, CODE, refusal, form="again", field="again")
    following = Pending.of(
        sent, now=_now(parts), invite_code=pending.invite_code, then=pending.next
    )
    _keep(request, following)
    return flash.notice(request, CODE, "code_sent")


@get("/again", guards=[visitors.signed_in], include_in_schema=False)
async def confirm(request: StrictRequest, then: Next = None) -> Response[str]:
    """Make sure that it is still the phone's owner."""
    return render.page(
        request,
        "again.html",
        phone=request.user.user.phone,
        next=forms.local_path(then) or PROFILE,
    )


@post("/again", guards=[visitors.signed_in], include_in_schema=False)
async def send_to_confirm(request: StrictRequest, parts: GivenParts) -> Redirect:
    fields = await forms.read(request)
    then = forms.local_path(fields.get("next")) or PROFILE
    try:
        sent = await login.send_code(
            parts,
            phone=request.user.user.phone or "",
            device_token=cookies.get(request, cookies.DEVICE),
            caller=visitors.caller(request),
        )
    except Refusal as refusal:
        return flash.refused(request, f"/again?next={then}", refusal, form="again", field="again")
    _keep(request, Pending.of(sent, now=_now(parts), then=then))
    return flash.to(CODE)


@post("/sign-out", include_in_schema=False)
async def sign_out(request: StrictRequest) -> Redirect:
    await visitors.leave(request)
    return flash.notice(request, HOME, "signed_out")


@post("/language", include_in_schema=False)
async def choose_language(request: StrictRequest) -> Redirect:
    fields = await forms.read(request)
    if (language := fields.get("language")) in i18n.LANGUAGES:
        cookies.put(request, cookies.LANGUAGE, language, seconds=_YEAR)
    return flash.to(forms.local_path(fields.get("next")) or HOME)


@post("/phone-form", status_code=HTTP_200_OK, include_in_schema=False)
async def phone_form(request: StrictRequest) -> dict[str, str | None]:
    """A phone that is being typed, as its country writes it: for the script.

    In a body, since proxies write paths with their queries into their logs.
    """
    phone = (await forms.read(request)).get("phone", "")
    spelt, country = phones.as_typed(phone, site.of(request.app.state).region)
    return {"form": spelt, "country": country}


HANDLERS = [
    home,
    invitation,
    send_code,
    code,
    verify,
    send_again,
    confirm,
    send_to_confirm,
    sign_out,
    choose_language,
    phone_form,
]


def code_page(
    request: StrictRequest, parts: Parts, pending: Pending, **context: Any
) -> Response[str]:
    """Where a code is entered.

    back, action, again: where its links and forms lead.
    """
    links: dict[str, Any] = {"back": HOME, "action": CODE, "again": f"{CODE}/again", **context}
    left = max(pending.resend_at - int(_now(parts)), 0)
    return render.page(request, "code.html", pending=pending, seconds=left, **links)


def is_good_for(pending: Pending | None, text: str, parts: Parts) -> bool:
    """Whether a code is under way to the phone that was typed."""
    if pending is None or pending.expires_at <= _now(parts):
        return False
    try:
        return phones.read(text, parts.phone_rules) == pending.phone
    except (InvalidPhone, UnsupportedPhone):
        return False


def _sign_in_page(
    request: StrictRequest, parts: Parts, *, status: int = HTTP_200_OK, **context: Any
) -> Response[str]:
    return render.page(
        request,
        "sign_in.html",
        status=status,
        **{
            "invite_code": "",
            "inviter": None,
            "visitor": None,
            "refusal": None,
            "then": "",
            "example": phones.example(site.of(request.app.state).region),
            "is_simulated": parts.gateway.echoes_code,
            **context,
        },
    )


def _form_of(invite_code: str, then: str | None) -> str:
    """The sign-in form that somebody came from, with the invitation or the way on that it had."""
    if invite_code.isalnum():
        return f"/i/{invite_code}"
    return f"/?next={then}" if then else HOME


def _without_invitation(
    request: StrictRequest, parts: Parts, refusal: UnknownInviteCode | TooManyRequests
) -> Response[str]:
    problems.record(request, refusal)
    limited = isinstance(refusal, TooManyRequests)
    page = _sign_in_page(
        request,
        parts,
        status=HTTP_429_TOO_MANY_REQUESTS if limited else HTTP_404_NOT_FOUND,
        refusal=texts.refusal(
            refusal.code,
            language=render.language(request),
            seconds=refusal.retry_after,
            attempts_left=None,
        ),
    )
    if limited:
        page.headers["Retry-After"] = str(refusal.retry_after)
    return page


async def _verify(
    request: StrictRequest, parts: Parts, token: str, code: str, invite_code: str
) -> tuple[SignIn, Refusal | None]:
    """Sign in; without the invitation where the rules refuse it, and then with what they say."""
    caller = visitors.caller(request)
    if not invite_code:
        return await login.verify(
            parts, token=token, code=code, invite_code=None, caller=caller
        ), None
    try:
        return await login.verify(
            parts, token=token, code=code, invite_code=invite_code, caller=caller
        ), None
    except _INVITE_REFUSALS as refusal:
        return await login.verify(
            parts, token=token, code=code, invite_code=None, caller=caller
        ), refusal


def _pending(request: Request[Any, Any, Any]) -> Pending | None:
    return parcel.read(cookies.get(request, cookies.SIGN_IN), Pending)


def _keep(request: StrictRequest, pending: Pending) -> None:
    cookies.put(request, cookies.SIGN_IN, parcel.write(pending), seconds=_PENDING_SECONDS)


def _now(parts: Parts) -> float:
    return parts.clock().timestamp()
