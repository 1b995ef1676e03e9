"""The session of a browser: the API's access and refresh tokens, in cookies.

If the access token is missing or expired, any request, even a submitted form, first gets new tokens
with the refresh token. So a form that was filled in slowly is not lost.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from referral.context import Caller
from referral.core.errors import (
    AccountBlocked,
    Forbidden,
    InvalidRefreshToken,
    NotSignedIn,
    Unauthorized,
)
from referral.core.tokens import DEVICE_LIFE
from referral.http import requests
from referral.http.pages import cookies, render
from referral.http.requests import StrictRequest, context
from referral.service import access, admins, refreshes, sessions
from referral.service.access import Authenticated
from referral.service.sessions import Tokens
from referral.service.sign_in import SignInResult
from referral.storage import database

_DAY = 86_400  # seconds


def caller(request: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """Return the caller as the API does, but with the language of the pages."""
    language = render.language(cast("Request[Any, Any, Any]", request))
    return replace(requests.caller(request), language=language.tag)


async def signed_in(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Set `request.user` to the signed-in user. A guard.

    Raises Unauthorized, InvalidRefreshToken or AccountBlocked.
    """
    connection.scope["user"] = await _authenticate(connection)


async def administrator(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Set `request.user` to the administrator, as an Actor. A guard.

    Raises Forbidden if the user is not an administrator, and what `signed_in` raises.
    """
    if connection.scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]  # only HTTP here
        return
    user = await _authenticate(connection)
    connection.scope["user"] = admins.require_admin(
        context(connection), user, caller=caller(connection)
    )


async def find(request: Request[Any, Any, Any]) -> Authenticated | None:
    """Return the user who is signed in, or None if nobody is or the user is blocked."""
    try:
        return await _authenticate(request)
    except (Unauthorized, InvalidRefreshToken, AccountBlocked):
        return None


def page(request: StrictRequest, template: str, **context: Any) -> Response[str]:
    """Render a page for the signed-in user. Administrators get a link to the administration."""
    return render.page(request, template, is_admin=_may_administer(request), **context)


async def start(request: Request[Any, Any, Any], result: SignInResult) -> None:
    """Set the cookies of a new sign-in, and end the session that this browser had before."""
    earlier = cookies.get(request, cookies.REFRESH)
    _keep(request, result.tokens)
    cookies.put(
        request, cookies.DEVICE, result.device_token, seconds=int(DEVICE_LIFE.total_seconds())
    )
    # The code is spent and the new session exists, so the sign-in must not fail any more
    with suppress(database.Unavailable):
        await _sign_out(request, earlier)


async def end(request: Request[Any, Any, Any]) -> None:
    """End the session of this browser, if any."""
    await _sign_out(request, cookies.get(request, cookies.REFRESH))
    cookies.clear(request, cookies.ACCESS, cookies.REFRESH)


async def require_fresh(request: Request[Any, Any, Any]) -> None:
    """Raise SignInAgain if the sign-in is too old, and what `signed_in` raises."""
    access.require_fresh(context(request), await _authenticate(request))


async def _sign_out(request: Request[Any, Any, Any], refresh_token: str | None) -> None:
    if refresh_token:
        await sessions.sign_out(context(request), refresh_token, caller=requests.caller(request))


def _may_administer(request: StrictRequest) -> bool:
    user = request.user
    return user.proof.proves_ownership and admins.may_administer(context(request), user.user)


async def _authenticate(connection: ASGIConnection[Any, Any, Any, Any]) -> Authenticated:
    """Verify the access token. If it is missing or not valid any more, replace both tokens."""
    ctx = context(connection)
    if access_token := cookies.get(connection, cookies.ACCESS):
        # Forbidden: the token of a client without the scope `account`
        with suppress(Unauthorized, Forbidden):
            signed_in = await access.authenticate(ctx, access_token)
            # An app that set this cookie to its own token could get codes for every other app
            if signed_in.client_id is None:
                return signed_in
    refresh_token = cookies.get(connection, cookies.REFRESH)
    if refresh_token is None:
        raise NotSignedIn(reason="no cookie")
    tokens = await refreshes.refresh(ctx, refresh_token, caller=requests.caller(connection))
    _keep(connection, tokens)
    return await access.authenticate(ctx, tokens.access)


def _keep(connection: ASGIConnection[Any, Any, Any, Any], tokens: Tokens) -> None:
    limits = context(connection).limits
    cookies.put(connection, cookies.ACCESS, tokens.access, seconds=tokens.access_life)
    cookies.put(connection, cookies.REFRESH, tokens.refresh, seconds=limits.session_max_days * _DAY)
