"""The authorization request of an app, in the URLs of the pages while its person signs in."""

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
from referral.openid.errors import UnknownApp
from referral.service.access import Authenticated
from referral.service.sign_in import SignInResult

PARAMETER = "request"
CONTINUE, RETURN = "/oauth/continue", "/oauth/return"

_STATE = "app_request"


class AppRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request in the URL of a page. app_name: the client's."""

    ctx: Context
    request: AuthorizationRequest
    app_name: str

    def url(self, path: str, **query: str) -> str:
        """Return a URL with this request, valid for 15 minutes from now."""
        return f"{path}?{urlencode({**query, PARAMETER: self.sealed})}"

    @property
    def sealed(self) -> str:
        """The request as a token, valid for 15 minutes from now."""
        return authorization.encrypt(self.ctx, self.request)

    def but(self, **changes: Any) -> AppRequest:
        """Return this request with some members changed."""
        return msgspec.structs.replace(
            self, request=msgspec.structs.replace(self.request, **changes)
        )

    def confirmed(self, session_id: str) -> AppRequest:
        """Return this request as the person of a session has agreed to it."""
        return self.but(confirmed_session_id=session_id, invite_code="")

    def next_step(self, signed_in: Authenticated | None) -> Step:
        """Return the next step for the person. Raises authorization.SentBack."""
        return authorization.next_step(self.ctx, self.request, signed_in, app_name=self.app_name)

    def expects(self, signed_in: Authenticated) -> bool:
        """Return whether this may be the person of the `id_token_hint`."""
        return self.request.hinted_user_id in {None, str(signed_in.user.id)}

    def expected_phone(self, signed_in: Authenticated | None) -> str | None:
        """Return the phone to fill in: of the `login_hint`, or of a person who signs in again."""
        hinted = self.request.hinted_phone
        if signed_in is None:
            return hinted
        own = signed_in.user.phone
        if "select_account" in self.request.prompts or not self.expects(signed_in):
            return hinted if hinted != own else None
        return hinted or own

    @property
    def without_invitation_url(self) -> str:
        """The sign-in page without the invitation."""
        return self.but(invite_code="").url("/")

    @property
    def cancel_url(self) -> str:
        """The way back to the app without signing in."""
        return self.url(RETURN, denied="1")


async def find(request: Request[Any, Any, Any]) -> AppRequest | None:
    """Return the request in this page's URL, if there is one.

    Raises UnknownApp, and authorization.SentBack if it has expired.
    """
    state = request.scope["state"]
    if _STATE not in state:
        token = request.query_params.get(PARAMETER)
        state[_STATE] = await _resume(request, token) if token else None
    found: AppRequest | None = state[_STATE]
    return found


async def require(request: Request[Any, Any, Any]) -> AppRequest:
    """Return the request in this page's URL. Raises what `find` raises."""
    found = await find(request)
    if found is None:
        raise UnknownApp("request")
    return found


async def redirect_if_done(request: StrictRequest, app: AppRequest) -> Redirect | None:
    """Redirect a person who need not sign in (again) for this request."""
    signed_in = await browser_session.find(request)
    if signed_in is None or app.next_step(signed_in) is Step.SIGN_IN:
        return None
    return flash.redirect(app.url(CONTINUE))


def query(app: AppRequest | None) -> dict[str, str]:
    """Return the parameter that keeps a request in the URL of the next page."""
    return {PARAMETER: app.sealed} if app is not None else {}


def signed_in(
    request: StrictRequest, app: AppRequest, result: SignInResult, invite_refusal: Refusal | None
) -> Redirect:
    """Redirect a person who has just signed in for an app."""
    if invite_refusal is not None:
        return invite_refused(request, app, invite_refusal)
    return flash.redirect(app.confirmed(str(result.tokens.session_id)).url(RETURN))


def invite_refused(request: StrictRequest, app: AppRequest, refusal: Refusal) -> Redirect:
    """Redirect to the page that says why, and goes on without the invitation."""
    without = app.but(invite_code="", prompts=app.request.prompts | {"consent"})
    return flash.refused(
        request, without.url(CONTINUE), refusal, form="continue", field="invite_code"
    )


async def _resume(request: Request[Any, Any, Any], token: str) -> AppRequest:
    ctx = context(request)
    found, client = await authorization.resume(ctx, token)
    render.prefer_locales(request, found.locales)
    return AppRequest(ctx=ctx, request=found, app_name=client.name)
