"""Who looks at a page: the same tokens as the API's, in cookies, renewed where they are too old."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from referral.context import Caller
from referral.core.errors import AccountBlocked, InvalidRefreshToken, NotSignedIn, Unauthorized
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
    """As the API has it, in the language of the page."""
    language = render.language(cast("Request[Any, Any, Any]", request))
    return replace(requests.caller(request), language=language)


async def signed_in(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """A guard: leaves the user at `request.user`. Raises Unauthorized, AccountBlocked."""
    connection.scope["user"] = await _authenticated(connection)


async def administrator(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """A guard: leaves at `request.user` who acts. Raises Forbidden and what `signed_in` raises."""
    if connection.scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]  # HTTP alone here
        return
    visitor = await _authenticated(connection)
    connection.scope["user"] = admins.actor(context(connection), visitor, caller=caller(connection))


async def find(request: Request[Any, Any, Any]) -> Authenticated | None:
    """Who is signed in here, if anybody who may be."""
    try:
        return await _authenticated(request)
    except (Unauthorized, InvalidRefreshToken, AccountBlocked):
        return None


def page(request: StrictRequest, template: str, **context: Any) -> Response[str]:
    """A page of somebody who is signed in, as `render.page`."""
    return render.page(request, template, is_admin=_sees_administration(request), **context)


async def acquire(request: Request[Any, Any, Any], sign_in: SignInResult) -> None:
    """Keep what a sign-in gave, and end the session that was here before."""
    before = cookies.get(request, cookies.REFRESH)
    _keep(request, sign_in.tokens)
    cookies.put(
        request, cookies.DEVICE, sign_in.device_token, seconds=int(DEVICE_LIFE.total_seconds())
    )
    # The code is spent: whatever happens now, they are signed in
    with suppress(database.Unavailable):
        await _end(request, before)


async def leave(request: Request[Any, Any, Any]) -> None:
    """End the session that is here, if any."""
    await _end(request, cookies.get(request, cookies.REFRESH))
    cookies.clear(request, cookies.ACCESS, cookies.REFRESH)


async def require_fresh(request: Request[Any, Any, Any]) -> None:
    """Raises SignInAgain, and what `signed_in` raises."""
    access.require_fresh(context(request), await _authenticated(request))


async def _end(request: Request[Any, Any, Any], refresh_token: str | None) -> None:
    if refresh_token:
        await sessions.sign_out(context(request), refresh_token, caller=requests.caller(request))


def _sees_administration(request: StrictRequest) -> bool:
    visitor = request.user
    return visitor.proof.proves_ownership and admins.may_administer(context(request), visitor.user)


async def _authenticated(connection: ASGIConnection[Any, Any, Any, Any]) -> Authenticated:
    of_app = context(connection)
    if access_token := cookies.get(connection, cookies.ACCESS):
        with suppress(Unauthorized):
            return await access.authenticate(of_app, access_token)
    refresh_token = cookies.get(connection, cookies.REFRESH)
    if refresh_token is None:
        raise NotSignedIn(reason="no cookie")
    tokens = await refreshes.refresh(of_app, refresh_token, caller=requests.caller(connection))
    _keep(connection, tokens)
    return await access.authenticate(of_app, tokens.access)


def _keep(connection: ASGIConnection[Any, Any, Any, Any], tokens: Tokens) -> None:
    limits = context(connection).limits
    cookies.put(connection, cookies.ACCESS, tokens.access, seconds=tokens.access_life)
    cookies.put(connection, cookies.REFRESH, tokens.refresh, seconds=limits.session_max_days * _DAY)
