"""Making sure, by a new code, that it is the phone's owner; then back to where that matters."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.response import Redirect

from referral.core.errors import Refusal
from referral.http.pages import browser_session, flash, forms, render
from referral.http.pages.sign_in import CODE, PROFILE, Next, send
from referral.http.requests import StrictRequest, context

PATH = flash.CONFIRM


@get(PATH, guards=[browser_session.signed_in], include_in_schema=False)
async def confirm(request: StrictRequest, then: Next = None) -> Response[str]:
    return render.page(
        request,
        "again.html",
        phone=request.user.user.phone,
        next=forms.local_path(then) or PROFILE,
    )


@post(
    PATH, guards=[browser_session.signed_in], opt=forms.on(PATH, "again"), include_in_schema=False
)
async def send_to_confirm(request: StrictRequest) -> Redirect:
    fields = await forms.read(request)
    then = forms.local_path(fields.get("next")) or PROFILE
    try:
        under_way = await send(request, context(request), request.user.user.phone or "", then=then)
    except Refusal as refusal:
        return flash.not_again(request, forms.with_next(PATH, then), refusal)
    return flash.to(under_way.at(CODE))
