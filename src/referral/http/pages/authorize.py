"""The authorization endpoint, and the pages between the sign-in and the app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from litestar import MediaType, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER, HTTP_400_BAD_REQUEST

from referral.core.errors import Refusal
from referral.http import problems
from referral.http.oauth import forms as oauth_forms
from referral.http.pages import (
    app_request,
    browser_session,
    flash,
    forms,
    inviter,
    render,
)
from referral.http.pages.app_request import CONTINUE, RETURN, AppRequest
from referral.http.pages.texts import N_
from referral.http.requests import StrictRequest, context
from referral.openid import authorization
from referral.openid.decision import Step
from referral.openid.errors import ErrorPage, ErrorRedirect, OAuthError
from referral.openid.parameters import Parameters
from referral.service import invitations

AUTHORIZE, LOGOUT = "/oauth/authorize", "/oauth/logout"
SIGN_IN = "/"

_EXPLANATIONS = {
    "client": N_(
        "The app that sent you here is not registered. Tell its makers that the client_id is "
        "unknown."
    ),
    "redirect_uri": N_(
        "The app that sent you here wants you back at an address that is not registered. Tell "
        "its makers that the redirect_uri must be exactly one of the client's."
    ),
    "twice": N_(
        "The app that sent you here gave its name or address twice. Tell its makers to send "
        "client_id and redirect_uri only once."
    ),
    "request": N_("This link is incomplete or has expired. Go back to the app and start again."),
    "logout": N_(
        "The app that sent you here to sign out made a mistake. Tell its makers that the "
        "id_token_hint must be one of their ID tokens, and the post_logout_redirect_uri exactly "
        "one of the client's."
    ),
}
_DESCRIPTION = """\
An app sends a person here, who signs in on these pages and is sent back to `redirect_uri` with a \
`code` (OpenID Connect Core, section 3.1.2), or with `error`. Other parameters are ignored. Every \
redirect has `iss` (RFC 9207). If the client or the redirect URI is not registered, the \
response is a page that says so, and nothing is redirected.\
"""

_PARAMETERS = {
    "client_id": "Of the app, from `referral client new`.",
    "redirect_uri": "Where the app gets the code: one that is registered, letter for letter.",
    "response_type": "`code`.",
    "scope": (
        "`openid`, and of these what the app needs: `phone`, `profile`, `email`, `referral`, "
        "`offline_access` (a refresh token), `account` (this API). Others are ignored."
    ),
    "state": "Comes back to the app, at most 2,048 characters.",
    "nonce": "Comes back in the ID token, at most 512 characters.",
    "code_challenge": "The base64url of the SHA-256 of a verifier (PKCE).",
    "code_challenge_method": "`S256`.",
    "prompt": "`none`, `login`, `consent` or `select_account`.",
    "max_age": "Seconds: ask for a code again if the last one is older.",
    "id_token_hint": "Nobody but the user of this ID token is sent back.",
    "login_hint": "A phone to fill in. Anything else is ignored.",
    "ui_locales": "Languages of the pages, preferred first, separated by spaces.",
    "invite_code": "Activated by the sign-in, in the same transaction.",
}
_OPT = {
    "parameters": _PARAMETERS,
    "required": ["client_id", "redirect_uri", "response_type", "scope"],
}
PAGES = {
    status: ResponseSpec(
        str, description=description, media_type=MediaType.HTML, generate_examples=False
    )
    for status, description in {
        400: "A page that says what is wrong. Nothing is redirected.",
        413: "A page: more than 64 KiB.",
        503: "A page: try again after the time in `Retry-After`.",
    }.items()
}

Denied = Annotated[str, QueryParameter()]


@get(
    AUTHORIZE,
    operation_id="authorize",
    status_code=HTTP_303_SEE_OTHER,
    summary="Sign a person in to an app",
    description=_DESCRIPTION,
    response_description="To the app or to the sign-in page.",
    responses=PAGES,
    opt=_OPT,
    tags=("OpenID Connect",),
    media_type=MediaType.HTML,
)
async def authorize(request: StrictRequest) -> Response[Any]:
    return await _next(request, await _begin(request, oauth_forms.query(request)))


@post(
    AUTHORIZE,
    operation_id="authorizeByPost",
    status_code=HTTP_303_SEE_OTHER,
    summary="Sign a person in to an app, by POST",
    description="As by GET, with the parameters in a form.",
    response_description="To a page that goes on.",
    responses=PAGES,
    opt=_OPT,
    tags=("OpenID Connect",),
    media_type=MediaType.HTML,
)
async def authorize_by_post(request: StrictRequest) -> Redirect:
    app = await _begin(request, await oauth_forms.body(request))
    # A form on another site is sent without our cookies (SameSite=Lax), a redirect with them
    return flash.redirect(app.url(CONTINUE))


@get(CONTINUE, include_in_schema=False)
async def show(request: StrictRequest) -> Response[Any]:
    """Ask the signed-in person whether to go on, or redirect to the sign-in or the app."""
    app = await app_request.require(request)
    signed_in = await browser_session.find(request)
    step = app.next_step(signed_in)
    if signed_in is None or step is Step.SIGN_IN:
        return flash.redirect(app.url(SIGN_IN))
    if step is Step.SEND_BACK:
        url = await app.code_url(signed_in)
        return leaving_page(request, url, app.app_name)
    found, refusal = await inviter.find(request, app.authorization_request.invite_code)
    return render.page(
        request,
        "continue.html",
        app=app,
        action=app.url(CONTINUE),
        invitation=found,
        inviter=found.inviter if found else None,
        masked_phone=inviter.masked_phone(request, app.ctx, signed_in),
        refusal=refusal,
        signed_in=signed_in,
        another=_with_another_phone(app).url(SIGN_IN),
    )


@post(
    CONTINUE,
    guards=[forms.same_origin],
    opt=forms.on(CONTINUE, "continue"),
    include_in_schema=False,
)
async def agree(request: StrictRequest) -> Redirect:
    """Go on as the person who is signed in, with or without the invitation."""
    app = await app_request.require(request)
    fields = await forms.read(request)
    signed_in = await browser_session.find(request)
    if signed_in is None or fields.get("user") != str(signed_in.user.id):
        # Somebody else has signed in since the page was shown, in another tab
        return flash.redirect(app.url(CONTINUE))
    if fields.get("invitation") == "accept":
        try:
            await invitations.activate(
                app.ctx,
                signed_in,
                app.authorization_request.invite_code,
                caller=browser_session.caller(request),
            )
        except Refusal as refusal:
            return app_request.invite_refused(request, app, refusal)
    return flash.redirect(app.confirmed(str(signed_in.session_id)).url(RETURN))


@get(RETURN, include_in_schema=False)
async def leave(request: StrictRequest, denied: Denied = "") -> Response[Any]:
    """Show the page that goes on to the app. See `leaving_page`."""
    app = await app_request.require(request)
    if denied:
        url = authorization.denied_url(
            app.ctx, app.authorization_request, "The person has cancelled."
        )
        return leaving_page(request, url, app.app_name)
    signed_in = await browser_session.find(request)
    if signed_in is None or app.next_step(signed_in) is not Step.SEND_BACK:
        return flash.redirect(app.url(CONTINUE))
    url = await app.code_url(signed_in)
    return leaving_page(request, url, app.app_name)


def leaving_page(request: StrictRequest, url: str, app_name: str) -> Response[str]:
    """Render a page that goes on to an app by itself.

    After a form, a redirect to the app would fail: browsers apply `form-action` to all redirects
    that follow a form (w3c/webappsec-csp#8). A page ends the chain.
    """
    page = render.page(request, "leave.html", url=url, app_name=app_name)
    page.headers["Refresh"] = f"0; url={url}"
    return page


def error_redirect(request: StrictRequest, outcome: ErrorRedirect) -> Response[Any]:
    """Send the browser to the app with an error."""
    if request.scope["path"] == AUTHORIZE:
        # After a POST, 303 makes the browser go on by GET (RFC 9700, section 4.12)
        response: Response[Any] = Redirect(outcome.url, status_code=HTTP_303_SEE_OTHER)
    elif request.method == "POST":
        # After a form, no redirect may lead to the app: RETURN meets the same error by GET
        query = request.scope["query_string"].decode("ascii", "replace")
        response = flash.redirect(f"{RETURN}?{query}")
    else:
        response = leaving_page(request, outcome.url, outcome.app_name)
    response.headers["Cache-Control"] = "no-store"
    return response


def error_page(request: StrictRequest, error: ErrorPage) -> Response[str]:
    """Respond with a page that explains the error to the person."""
    problems.log_error(request, "unknown_app", error.reason)
    message = render.language(request).gettext(_EXPLANATIONS[error.reason])
    page = render.page(
        request, "error.html", status=HTTP_400_BAD_REQUEST, message=message, action=None, fields={}
    )
    page.headers["Cache-Control"] = "no-store"
    return page


def oauth_error_page(request: StrictRequest, error: OAuthError) -> Response[str]:
    """Respond with a page to parameters that cannot be read, or to a wrong request to sign out."""
    problems.log_error(request, error.error, error.description)
    is_logout = request.scope["path"] == LOGOUT
    return error_page(request, ErrorPage("logout" if is_logout else "request"))


async def _begin(request: StrictRequest, parameters: Parameters) -> AppRequest:
    ctx = context(request)
    found, client = await authorization.begin(ctx, parameters)
    return AppRequest(ctx=ctx, authorization_request=found, app_name=client.name)


async def _next(request: StrictRequest, app: AppRequest) -> Redirect:
    """Redirect to the next step: the sign-in, the page that asks, or the app."""
    signed_in = await browser_session.find(request)
    step = app.next_step(signed_in)
    if step is Step.SEND_BACK and signed_in is not None:
        url = await app.code_url(signed_in)
        return flash.redirect(url)
    path = CONTINUE if step is Step.CONFIRM else SIGN_IN
    return flash.redirect(app.url(path))


def _with_another_phone(app: AppRequest) -> AppRequest:
    """Return the request of a person who wants to sign in with another phone."""
    prompts = (app.authorization_request.prompts - {"consent"}) | {"login", "select_account"}
    # As if it had come now, so that only a code that is verified from now on satisfies it
    return app.replace(prompts=prompts, came_at=app.ctx.clock().timestamp())


EXCEPTION_HANDLERS: dict[int | type[Exception], Callable[..., Response[Any]]] = {
    ErrorRedirect: error_redirect,
    ErrorPage: error_page,
    OAuthError: oauth_error_page,
}
HANDLERS = [authorize, authorize_by_post, show, agree, leave]
