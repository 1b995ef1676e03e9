"""Where an app sends a person to sign out, and the question that is asked first if need be."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from referral.http.oauth import forms as oauth_forms
from referral.http.pages import authorize, browser_session, flash, forms, render, tabs
from referral.http.pages.authorize import LOGOUT
from referral.http.requests import StrictRequest, context
from referral.openid import logout
from referral.openid.logout import LogoutRequest

FINISH = "/oauth/logout/finish"
_PARAMETER = "request"

_DESCRIPTION = """\
An app sends a person here to sign out (RP-Initiated Logout 1.0). With an `id_token_hint`, which \
may have expired, the app's session ends, and the browser's too if it is of the same user; then \
the person goes on to `post_logout_redirect_uri`, if the client has registered it, with `state`. \
Without a hint, or if somebody else is signed in here, a page asks first. A bad hint or URI is an \
error page.\
"""


_PARAMETERS = {
    "id_token_hint": "The app's ID token of the session to end.",
    "client_id": "If given, that of the ID token.",
    "post_logout_redirect_uri": "Where to go afterwards: one that is registered.",
    "state": "Comes back to the app, at most 2,048 characters.",
}
_RESPONSES = {
    **authorize.PAGES,
    200: ResponseSpec(
        str,
        description="A page that asks first, or says that nobody is signed in.",
        media_type=MediaType.HTML,
        generate_examples=False,
    ),
}


@get(
    LOGOUT,
    operation_id="signOutForApp",
    status_code=HTTP_303_SEE_OTHER,
    summary="Sign a person out",
    description=_DESCRIPTION,
    response_description="To the app.",
    responses=_RESPONSES,
    opt={"parameters": _PARAMETERS},
    tags=("OpenID Connect",),
    media_type=MediaType.HTML,
)
async def start(request: StrictRequest) -> Response[Any]:
    asked = await logout.begin(context(request), oauth_forms.query(request))
    return await _go_on(request, asked)


@post(
    LOGOUT,
    operation_id="signOutForAppByPost",
    status_code=HTTP_303_SEE_OTHER,
    summary="Sign a person out, by POST",
    description="As by GET, with the parameters in a form.",
    response_description="To a page that goes on.",
    responses=authorize.PAGES,
    opt={"parameters": _PARAMETERS},
    tags=("OpenID Connect",),
    media_type=MediaType.HTML,
)
async def start_by_post(request: StrictRequest) -> Redirect:
    ctx = context(request)
    asked = await logout.begin(ctx, await oauth_forms.body(request))
    # The form of another site came without our cookies (SameSite=Lax); the redirect brings them
    return flash.redirect(f"{FINISH}?{_PARAMETER}={logout.encrypt(ctx, asked)}")


@get(FINISH, include_in_schema=False)
async def resume(request: StrictRequest) -> Response[Any]:
    return await _go_on(request, _asked(request))


@post(FINISH, guards=[forms.same_origin], opt=forms.on(FINISH, "logout"), include_in_schema=False)
async def confirm(request: StrictRequest) -> Redirect:
    """Sign out of this browser: its user has said so."""
    asked = _asked(request)
    await browser_session.end(request)
    tabs.clear_all(request)
    return flash.redirect(f"{FINISH}/done?{_PARAMETER}={logout.encrypt(context(request), asked)}")


@get(f"{FINISH}/done", include_in_schema=False)
async def done(request: StrictRequest) -> Response[Any]:
    """Go on to the app by a page of ours, because no redirect may lead there after a form."""
    asked = _asked(request)
    if asked.url is None:
        return render.page(request, "signed_out.html")
    return authorize.leaving_page(request, asked.url, "")


HANDLERS = [start, start_by_post, resume, confirm, done]


def _asked(request: StrictRequest) -> LogoutRequest:
    return logout.decrypt(context(request), request.query_params.get(_PARAMETER, ""))


async def _go_on(request: StrictRequest, asked: LogoutRequest) -> Response[Any]:
    ctx = context(request)
    await logout.end_hinted(ctx, asked, caller=browser_session.caller(request))
    signed_in = await browser_session.find(request)
    if signed_in is not None and logout.needs_question(asked, signed_in):
        action = f"{FINISH}?{_PARAMETER}={logout.encrypt(ctx, asked)}"
        return render.page(request, "sign_out.html", action=action, signed_in=signed_in)
    await browser_session.end(request)
    if asked.url is not None:
        return flash.redirect(asked.url)
    return render.page(request, "signed_out.html")
