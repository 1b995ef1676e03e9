"""Reauthentication: send a code to the user's own phone, then go back to what required it."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect

from referral.http.pages import browser_session, flash, forms, render
from referral.http.pages.sign_in import CODE, PROFILE, SEND_REFUSALS, Next, send
from referral.http.requests import StrictRequest, context

PATH = flash.REAUTHENTICATION


@get(PATH, guards=[browser_session.signed_in], include_in_schema=False)
async def show(request: StrictRequest, then: Next = None) -> Response[str]:
    return render.page(
        request,
        "again.html",
        phone=request.user.user.phone,
        next=forms.local_path(then) or PROFILE,
    )


@post(
    PATH, guards=[browser_session.signed_in], opt=forms.on(PATH, "again"), include_in_schema=False
)
async def send_code(request: StrictRequest) -> Redirect:
    """Send the code. It is entered on the page for codes, which starts a new session."""
    fields = await forms.read(request)
    then = forms.local_path(fields.get("next")) or PROFILE
    try:
        pending = await send(request, context(request), request.user.user.phone or "", then=then)
    except SEND_REFUSALS as refusal:
        return flash.resend_refused(request, forms.with_next(PATH, then), refusal)
    return flash.redirect(pending.url(CODE))


HANDLERS: list[Any] = [show, send_code]
