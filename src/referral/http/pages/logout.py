"""The logout endpoint, to which an app sends a person, and the page that asks first."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from referral.context import Context
from referral.http.oauth import forms as oauth_forms
from referral.http.pages import authorize, browser_session, flash, forms, render, tabs
from referral.http.pages.authorize import LOGOUT
from referral.http.requests import StrictRequest, context
from referral.openid import logout
from referral.openid.logout import LogoutRequest

FINISH, DONE = "/oauth/logout/finish", "/oauth/logout/finish/done"

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
    return await _sign_out(
        request, await logout.begin(context(request), oauth_forms.query(request))
    )


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
    checked = await logout.begin(ctx, await oauth_forms.body(request))
    # A form on another site is sent without our cookies (SameSite=Lax), a redirect with them
    return flash.redirect(_url(ctx, FINISH, checked))


@get(FINISH, include_in_schema=False)
async def resume(request: StrictRequest) -> Response[Any]:
    return await _sign_out(request, _logout_request(request))


@post(FINISH, guards=[forms.same_origin], opt=forms.on(FINISH, "logout"), include_in_schema=False)
async def confirm(request: StrictRequest) -> Redirect:
    """Sign out of this browser, after its user has said so."""
    checked = _logout_request(request)
    await browser_session.end(request)
    tabs.clear_all(request)
    return flash.redirect(_url(context(request), DONE, checked))


@get(DONE, include_in_schema=False)
async def done(request: StrictRequest) -> Response[Any]:
    """Show the page that goes on to the app. See `authorize.leaving_page`."""
    url = _logout_request(request).url
    if url is None:
        return render.page(request, "signed_out.html")
    return authorize.leaving_page(request, url, "")


HANDLERS = [start, start_by_post, resume, confirm, done]


def _url(ctx: Context, path: str, checked: LogoutRequest) -> str:
    """Return the URL of a page with this request."""
    return f"{path}?{_PARAMETER}={logout.encrypt(ctx, checked)}"


def _logout_request(request: StrictRequest) -> LogoutRequest:
    """Return the request in this page's URL. Raises openid.errors.InvalidRequest."""
    return logout.decrypt(context(request), request.query_params.get(_PARAMETER, ""))


async def _sign_out(request: StrictRequest, checked: LogoutRequest) -> Response[Any]:
    """End the app's session, and the browser's too unless its user has to be asked first."""
    ctx = context(request)
    await logout.end_hinted(ctx, checked, caller=browser_session.caller(request))
    signed_in = await browser_session.find(request)
    if signed_in is not None and logout.needs_question(checked, signed_in):
        action = _url(ctx, FINISH, checked)
        return render.page(request, "sign_out.html", action=action, signed_in=signed_in)
    await browser_session.end(request)
    if checked.url is not None:
        return flash.redirect(checked.url)
    return render.page(request, "signed_out.html")
