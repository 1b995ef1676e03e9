"""Authentication of API requests: guards that turn a bearer token into `request.user`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityScheme

from referral.core.errors import NotSignedIn, Unauthorized
from referral.http.requests import caller, context, header_values
from referral.service import access, admins

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection

BEARER = SecurityScheme(
    type="http",
    scheme="bearer",
    bearer_format="JWT",
    description=(
        "The `access_token` from signing in. It is valid for `expires_in` seconds; then get a new "
        "one from `POST /api/v1/auth/refresh`."
    ),
)
API_KEY = SecurityScheme(
    type="http",
    scheme="bearer",
    description=(
        "An API key (`rk_...`), created with `referral key new NAME` or on the administration "
        "pages. Only the operations under Administration and Rewards accept it. One created with "
        "`--events`, for a shop's backend, opens only events, redemptions and their reversals; "
        "elsewhere the response is 403 `forbidden`."
    ),
)
REQUIRED: list[dict[str, list[str]]] = [{"bearer": []}]
KEY: list[dict[str, list[str]]] = [{"api_key": []}]
ADMINISTRATOR = [*REQUIRED, *KEY]


async def signed_in(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Set `request.user` to the signed-in user. A guard, so it runs before the body is read.

    Raises NotSignedIn, Unauthorized or AccountBlocked.
    """
    if connection.scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]  # always HTTP here
        return
    connection.scope["user"] = await access.authenticate(context(connection), bearer(connection))


async def administrator(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Set `request.user` to the acting administrator or API key. A guard, like `signed_in`.

    A key that opens only events is refused.

    Raises NotSignedIn, Unauthorized, AccountBlocked or Forbidden.
    """
    if connection.scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]  # always HTTP here
        return
    connection.scope["user"] = await admins.authenticate(
        context(connection), bearer(connection), caller=caller(connection)
    )


async def any_api_key(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Set `request.user` to the acting API key, also one that opens only events. A guard.

    For events, redemptions and their reversals; their `security` is KEY. Raises NotSignedIn,
    Unauthorized, AccountBlocked, and Forbidden for users, administrators too.
    """
    if connection.scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]  # always HTTP here
        return
    connection.scope["user"] = await admins.authenticate_key(
        context(connection), bearer(connection), caller=caller(connection)
    )


def bearer(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the bearer token (RFC 6750, section 2.1).

    Raises NotSignedIn if there is no Authorization header, and Unauthorized if there are several
    or it has another scheme.
    """
    headers = header_values(connection, b"authorization")
    if not headers:
        raise NotSignedIn(reason="no Authorization header")
    if len(headers) != 1:
        raise Unauthorized(reason=f"{len(headers)} Authorization headers")
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized(reason="not a bearer token")
    return token.strip()
