"""Errors in the format of OAuth 2.0 (RFC 6749, section 5.2), instead of the API's problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_401_UNAUTHORIZED
from msgspec import Meta, Struct

from referral.core.errors import Refusal
from referral.http import problems
from referral.http.problems import Problem
from referral.http.responses import JsonResponse
from referral.openid.errors import InsufficientScope, InvalidClient, OAuthError
from referral.storage import database

# The status and `error` of the response, by the status of the API's problem
_STATUSES = {
    401: (HTTP_401_UNAUTHORIZED, "invalid_token"),
    # RFC 6750, section 3.1, has no error for a blocked user's token
    403: (HTTP_401_UNAUTHORIZED, "invalid_token"),
    500: (500, "server_error"),
    503: (503, "temporarily_unavailable"),
}


class ErrorResponse(Struct, frozen=True):
    """An error. `error` is stable; `error_description` tells developers what to do next."""

    error: Annotated[str, Meta(examples=["invalid_grant"])]
    error_description: Annotated[
        str, Meta(examples=["The code has expired: exchange it within 60 seconds."])
    ]


def oauth_response(request: Request[Any, Any, Any], error: OAuthError) -> Response[ErrorResponse]:
    """Log an error with its description, and return the response to it."""
    problems.log_error(request, error.error, error.description)
    status, headers = 400, {"Cache-Control": "no-store"}
    if isinstance(error, InvalidClient):
        # RFC 6749, section 5.2, requires the challenge if the client has used the header
        status, headers = 401, {**headers, "WWW-Authenticate": 'Basic realm="clients"'}
    elif isinstance(error, InsufficientScope):
        challenge = 'Bearer error="insufficient_scope", scope="openid"'
        status, headers = 403, {**headers, "WWW-Authenticate": challenge}
    body = ErrorResponse(error.error, error.description)
    return JsonResponse(body, status_code=status, headers=headers)


def _translated(
    respond: Callable[..., Response[Problem]],
) -> Callable[..., Response[ErrorResponse]]:
    """Turn a handler that responds with a problem into one that responds with an OAuth error."""

    def translate(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorResponse]:
        response = respond(request, error)
        problem: Problem = response.content
        status, name = _STATUSES.get(problem.status, (problem.status, "invalid_request"))
        headers = dict(response.headers)
        if status == HTTP_401_UNAUTHORIZED:
            headers.setdefault("WWW-Authenticate", 'Bearer error="invalid_token"')
        return JsonResponse(
            ErrorResponse(name, problem.detail), status_code=status, headers=headers
        )

    return translate


HANDLERS: dict[int | type[Exception], Callable[..., Response[Any]]] = {
    OAuthError: oauth_response,
    Refusal: _translated(problems.refusal_response),
    HTTPException: _translated(problems.framework_response),
    Exception: _translated(problems.failure_response),
    database.Unavailable: _translated(problems.unavailable_response),
}
