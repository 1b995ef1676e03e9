"""From a bearer token to who is asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityScheme

from referral.core.errors import NotSignedIn, Unauthorized
from referral.http.requests import caller, context, lines
from referral.service import access, admins

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection

BEARER = SecurityScheme(
    type="http",
    scheme="bearer",
    bearer_format="JWT",
    description="The `access_token` of a sign-in. It lives `expires_in` seconds; refresh it then.",
)
API_KEY = SecurityScheme(
    type="http",
    scheme="bearer",
    description="An API key (`rk_...`), for administration alone: `referral key new`.",
)
REQUIRED: list[dict[str, list[str]]] = [{"bearer": []}]
ADMINISTRATOR: list[dict[str, list[str]]] = [*REQUIRED, {"api_key": []}]


async def signed_in(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """A guard: runs before the body is read, and leaves the user at `request.user`."""
    if connection.scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]  # HTTP alone here
        return
    connection.scope["user"] = await access.authenticate(context(connection), bearer(connection))


async def administrator(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """As `signed_in`, for administrators and API keys; leaves at `request.user` who acts."""
    if connection.scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]  # HTTP alone here
        return
    connection.scope["user"] = await admins.authenticate(
        context(connection), bearer(connection), caller=caller(connection)
    )


def bearer(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The one bearer token (RFC 6750, section 2.1). Raises NotSignedIn, Unauthorized."""
    headers = lines(connection, b"authorization")
    if not headers:
        raise NotSignedIn(reason="no Authorization header")
    if len(headers) != 1:
        raise Unauthorized(reason=f"{len(headers)} Authorization headers")
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized(reason="not a bearer token")
    return token.strip()
