"""An app's authorization request, which the pages pass on in their URLs while the person signs in.

In these modules `request` is the HTTP request, and `app` the AppRequest.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request
from litestar.response import Redirect

from referral.context import Context
from referral.core.errors import Refusal
from referral.http.pages import browser_session, flash, render
from referral.http.requests import StrictRequest, context
from referral.openid import authorization
from referral.openid.authorization_request import AuthorizationRequest
from referral.openid.decision import Step
from referral.openid.errors import ErrorPage
from referral.service.access import Authenticated
from referral.service.sign_in import SignInResult

PARAMETER = "request"
CONTINUE, RETURN = "/oauth/continue", "/oauth/return"

_STATE = "app_request"


class AppRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The authorization request in the URL of a page. app_name: the client's name."""

    ctx: Context
    authorization_request: AuthorizationRequest
    app_name: str

    def url(self, path: str, **query: str) -> str:
        """Return the URL of a page with this request, valid for 15 minutes from now."""
        return f"{path}?{urlencode({**query, PARAMETER: self.token})}"

    @property
    def token(self) -> str:
        """The request's token, valid for 15 minutes from now."""
        return authorization.encrypt(self.ctx, self.authorization_request)

    def replace(self, **changes: Any) -> AppRequest:
        """Return a copy with some members of the authorization request changed."""
        changed = msgspec.structs.replace(self.authorization_request, **changes)
        return msgspec.structs.replace(self, authorization_request=changed)

    def confirmed(self, session_id: str) -> AppRequest:
        """Return a copy in which the person of this browser's session has agreed to go on."""
        return self.replace(confirmed_session_id=session_id, invite_code="")

    def next_step(self, signed_in: Authenticated | None) -> Step:
        """Return the next step for the person. Raises ErrorRedirect."""
        return authorization.next_step(
            self.ctx, self.authorization_request, signed_in, app_name=self.app_name
        )

    async def code_url(self, signed_in: Authenticated) -> str:
        """Return the redirect URI with a code, for a person whose next step is SEND_BACK."""
        return await authorization.code_url(self.ctx, self.authorization_request, signed_in)

    def expects(self, signed_in: Authenticated) -> bool:
        """Return whether the `id_token_hint` allows this user."""
        return self.authorization_request.hinted_user_id in {None, str(signed_in.user.id)}

    def expected_phone(self, signed_in: Authenticated | None) -> str | None:
        """Return the phone to fill in: the `login_hint`'s, or that of a user who signs in again."""
        hinted = self.authorization_request.hinted_phone
        if signed_in is None:
            return hinted
        own = signed_in.user.phone
        # The signed-in user's own phone would be wrong: another one is wanted
        if "select_account" in self.authorization_request.prompts or not self.expects(signed_in):
            return hinted if hinted != own else None
        return hinted or own

    @property
    def without_invitation_url(self) -> str:
        """The URL of the sign-in page without the invitation."""
        return self.replace(invite_code="").url("/")

    @property
    def cancel_url(self) -> str:
        """The URL that leads back to the app without a sign-in."""
        return self.url(RETURN, denied="1")


async def find(request: Request[Any, Any, Any]) -> AppRequest | None:
    """Return the authorization request in this page's URL, or None if it has none.

    Raises ErrorPage, and ErrorRedirect if the token has expired.
    """
    state = request.scope["state"]
    if _STATE not in state:
        token = request.query_params.get(PARAMETER)
        state[_STATE] = await _resume(request, token) if token else None
    found: AppRequest | None = state[_STATE]
    return found


async def require(request: Request[Any, Any, Any]) -> AppRequest:
    """Return the authorization request in this page's URL. Raises ErrorPage, ErrorRedirect."""
    found = await find(request)
    if found is None:
        raise ErrorPage("request")
    return found


async def redirect_if_done(request: StrictRequest, app: AppRequest) -> Redirect | None:
    """Redirect a person who does not need to enter a code for this request; else return None."""
    signed_in = await browser_session.find(request)
    if signed_in is None or app.next_step(signed_in) is Step.SIGN_IN:
        return None
    return flash.redirect(app.url(CONTINUE))


def query(app: AppRequest | None) -> dict[str, str]:
    """Return the query parameter that passes a request on to the next page."""
    return {PARAMETER: app.token} if app is not None else {}


def after_sign_in(
    request: StrictRequest, app: AppRequest, result: SignInResult, invite_refusal: Refusal | None
) -> Redirect:
    """Redirect a person who has just signed in for an app. invite_refusal: see `invite_refused`."""
    if invite_refusal is not None:
        return invite_refused(request, app, invite_refusal)
    return flash.redirect(app.confirmed(str(result.tokens.session_id)).url(RETURN))


def invite_refused(request: StrictRequest, app: AppRequest, refusal: Refusal) -> Redirect:
    """Redirect to the page that shows why an invite code was refused, to go on without it."""
    # With `consent`, so that the page is shown instead of an immediate redirect to the app
    without = app.replace(invite_code="", prompts=app.authorization_request.prompts | {"consent"})
    return flash.refused(
        request, without.url(CONTINUE), refusal, form="continue", field="invite_code"
    )


async def _resume(request: Request[Any, Any, Any], token: str) -> AppRequest:
    ctx = context(request)
    found, client = await authorization.resume(ctx, token)
    render.prefer_locales(request, found.locales)
    return AppRequest(ctx=ctx, authorization_request=found, app_name=client.name)
