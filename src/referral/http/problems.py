"""The one table from a refusal to an answer (RFC 9457)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import UNSET, Meta, Struct, UnsetType

from referral import observability
from referral.core import errors
from referral.core.errors import Refusal
from referral.http import field_errors
from referral.http.field_errors import FieldError
from referral.http.server import options
from referral.storage import database

MEDIA_TYPE = "application/problem+json"
_STORAGE_RETRY = 2
_OVERLOADED_RETRY = 1


class BodyTooLarge(Refusal):
    code = "body_too_large"
    detail = "A body has at most 64 KiB. Send less."


class UnsupportedMediaType(Refusal):
    code = "unsupported_media_type"
    detail = "Send the body as JSON, with `Content-Type: application/json`."


class MethodNotAllowed(Refusal):
    code = "method_not_allowed"
    detail = "This path has other methods: see Allow."


class StorageUnavailable(Refusal):
    code = "storage_unavailable"
    detail = "The database cannot be reached just now. Nothing was lost: repeat the call."


class OtherSite(Refusal):
    code = "other_site"
    detail = "This form did not come from this site. Open the page anew."


class Overloaded(Refusal):
    code = "overloaded"
    detail = "More requests come than can be served just now. Nothing was lost: repeat the call."


class InternalError(Refusal):
    code = "internal_error"
    detail = "Something broke here. It is logged; try again later."


class Problem(Struct, frozen=True, kw_only=True):
    """An error (RFC 9457). `code` is stable; `detail` says what to do next."""

    type: Annotated[str, Meta(examples=["urn:referral:problem:wrong_code"])]
    title: Annotated[str, Meta(examples=["Wrong code"])]
    status: Annotated[int, Meta(examples=[400])]
    detail: str
    code: Annotated[str, Meta(examples=["wrong_code"])]
    errors: Annotated[list[FieldError] | UnsetType, Meta(description="With `invalid_request`.")] = (
        UNSET
    )
    attempts_left: Annotated[int | UnsetType, Meta(description="With `wrong_code`.")] = UNSET


# status, title
_TABLE: dict[type[Refusal], tuple[int, str]] = {
    errors.InvalidRequest: (400, "Invalid request"),
    errors.InvalidPhone: (400, "Invalid phone"),
    errors.UnsupportedPhone: (400, "Unsupported phone"),
    errors.ChallengeInvalid: (400, "Invalid challenge"),
    errors.ChallengeExpired: (400, "Challenge expired"),
    errors.ChallengeSpent: (400, "Challenge spent"),
    errors.WrongCode: (400, "Wrong code"),
    errors.TooManyAttempts: (429, "Too many attempts"),
    errors.TooManyRequests: (429, "Too many requests"),
    errors.Unauthorized: (401, "Unauthorized"),
    errors.NotSignedIn: (401, "Unauthorized"),
    errors.InvalidRefreshToken: (401, "Invalid refresh token"),
    errors.Forbidden: (403, "Forbidden"),
    errors.AccountBlocked: (403, "Account blocked"),
    OtherSite: (403, "Forbidden"),
    errors.SignInAgain: (403, "Sign in again"),
    errors.NotFound: (404, "Not found"),
    errors.UnknownInviteCode: (404, "Unknown invite code"),
    MethodNotAllowed: (405, "Method not allowed"),
    errors.OwnInviteCode: (409, "Own invite code"),
    errors.InviteAlreadyActivated: (409, "Invite already activated"),
    errors.InviteLoop: (409, "Invite loop"),
    errors.PhoneTaken: (409, "Phone taken"),
    BodyTooLarge: (413, "Body too large"),
    UnsupportedMediaType: (415, "Unsupported media type"),
    InternalError: (500, "Internal error"),
    errors.SmsUnavailable: (503, "SMS unavailable"),
    StorageUnavailable: (503, "Storage unavailable"),
    Overloaded: (503, "Overloaded"),
}

# What the framework raises by itself, by status. Its own texts repeat the input.
_FRAMEWORK: dict[int, type[Refusal]] = {
    400: errors.InvalidRequest,
    401: errors.Unauthorized,
    404: errors.NotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
}

# RFC 6750, section 3.1
_WWW_AUTHENTICATE: dict[type[Refusal], str] = {
    errors.Unauthorized: 'Bearer error="invalid_token"',
    errors.NotSignedIn: "Bearer",
    errors.InvalidRefreshToken: 'Bearer error="invalid_token"',
}


def answer_refusal(request: Request[Any, Any, Any], refusal: Refusal) -> Response[Problem]:
    """The answer to a refusal; its exact reason goes to the log."""
    record(request, refusal)
    return _response(refusal)


def record(request: Request[Any, Any, Any], refusal: Refusal) -> None:
    """Log a refusal with its exact reason."""
    observability.refused(
        refusal.code, refusal.reason, method=request.method, route=_route(request)
    )


def answer_framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """The answer to what the framework refuses before a handler is reached."""
    kind = _FRAMEWORK.get(error.status_code)
    if kind is None:
        return answer_failure(request, error)
    refusal = kind(reason=type(error).__name__)
    if kind is errors.InvalidRequest:
        refusal.members = {"errors": field_errors.found(request, error)}
    response = answer_refusal(request, refusal)
    if kind is MethodNotAllowed:
        response.headers["Allow"] = options.allowed(request)
    return response


def answer_unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """The answer while the database is away."""
    observability.unavailable(error, method=request.method, route=_route(request))
    return _response(StorageUnavailable(retry_after=_STORAGE_RETRY))


def answer_failure(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """The answer to a bug of ours: no word of what it was."""
    observability.failed(error, method=request.method, route=_route(request))
    return _response(InternalError())


@cache
def overloaded() -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body for a request that the framework does not get: refusing has to cost little.

    The status is 503.
    """
    return _encoded(Overloaded(retry_after=_OVERLOADED_RETRY))


@cache
def malformed() -> tuple[list[tuple[bytes, bytes]], bytes]:
    """As `overloaded`, for what is no request of HTTP. The status is 400."""
    return _encoded(errors.InvalidRequest.field("", "This is not a request of HTTP/1.1."))


@cache
def head_too_large() -> tuple[list[tuple[bytes, bytes]], bytes]:
    """As `overloaded`, for a request whose headers do not end. The status is 400."""
    return _encoded(errors.InvalidRequest.field("", "Path and headers have at most 64 KiB."))


def _encoded(refusal: Refusal) -> tuple[list[tuple[bytes, bytes]], bytes]:
    answer = _response(refusal)
    body = msgspec.json.encode(answer.content)
    given = {
        **answer.headers,
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
    }
    return [(name.lower().encode(), value.encode()) for name, value in given.items()], body


HANDLERS: dict[int | type[Exception], Callable[..., Response[Problem]]] = {
    Refusal: answer_refusal,
    HTTPException: answer_framework,
    Exception: answer_failure,
    database.Unavailable: answer_unavailable,
}


def problem(kind: type[Refusal], detail: str, members: Mapping[str, Any]) -> Problem:
    """What is said of a kind of refusal. members: what only this kind has."""
    status, title = _TABLE[kind]
    return Problem(
        type=f"urn:referral:problem:{kind.code}",
        title=title,
        status=status,
        detail=detail,
        code=kind.code,
        **members,
    )


def _response(refusal: Refusal) -> Response[Problem]:
    body = problem(type(refusal), refusal.detail, refusal.members)
    headers = {"Cache-Control": "no-store"}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    if isinstance(refusal, errors.Limited):
        headers |= _rate_limit(refusal)
    if challenge := _WWW_AUTHENTICATE.get(type(refusal)):
        headers["WWW-Authenticate"] = challenge
    return Response(
        body,
        status_code=body.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def _rate_limit(refusal: errors.Limited) -> dict[str, str]:
    """As draft-ietf-httpapi-ratelimit-headers-10 has them: the limit, and what is left of it."""
    name, size, window = refusal.limit
    return {
        "RateLimit-Policy": f'"{name}";q={size};w={window}',
        "RateLimit": f'"{name}";r=0;t={refusal.retry_after}',
    }


def _route(request: Request[Any, Any, Any]) -> str:
    """The path as the routes spell it: what a caller wrote into it stays out of the log."""
    template = request.scope.get("path_template")
    return str(template) if template else "unknown"
