"""The signed-in user's sessions, shown as devices."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from referral.core.errors import NotFound
from referral.http import problems
from referral.http.api.fields import PageCursor
from referral.http.pages import browser_session, cookies, devices, flash, forms, tabs
from referral.http.requests import StrictRequest, context
from referral.service import sessions

SESSIONS = "/me/sessions"

_PAGE_SIZE = 50


@get(SESSIONS, guards=[browser_session.signed_in], include_in_schema=False)
async def show(request: StrictRequest, cursor: PageCursor = None) -> Response[str]:
    page = await sessions.page(context(request), request.user, cursor=cursor, limit=_PAGE_SIZE)
    return browser_session.page(
        request, "sessions.html", page=page, cursor=cursor, parse_device=devices.parse
    )


@post(
    f"{SESSIONS}/{{session_id:str}}/end",
    guards=[browser_session.signed_in],
    opt=forms.on(SESSIONS, "sessions"),
    include_in_schema=False,
)
async def end(request: StrictRequest, session_id: FromPath[str]) -> Redirect:
    try:
        await sessions.end(
            context(request), request.user, session_id, caller=browser_session.caller(request)
        )
    except NotFound as refusal:
        # It has ended already, elsewhere or by a second click
        problems.log_refusal(request, refusal)
    if session_id.lower() == str(request.user.session_id):
        cookies.clear(request, cookies.ACCESS, cookies.REFRESH)
        return flash.notice(request, "/", "signed_out")
    return flash.notice(request, SESSIONS, "session_ended")


@post(
    f"{SESSIONS}/end-all",
    guards=[browser_session.signed_in],
    opt=forms.on(SESSIONS, "sessions"),
    include_in_schema=False,
)
async def end_all(request: StrictRequest) -> Redirect:
    await sessions.sign_out_everywhere(
        context(request), request.user, caller=browser_session.caller(request)
    )
    cookies.clear(request, cookies.ACCESS, cookies.REFRESH)
    tabs.clear_all(request)
    return flash.notice(request, "/", "signed_out_everywhere")


HANDLERS: list[Any] = [show, end, end_all]
