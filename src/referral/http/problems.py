"""Turn refusals into responses: problem documents (RFC 9457).

The rules raise a `Refusal`, one tree of exceptions with stable codes (core/errors.py). One table
here gives each class its status and title, so a code has the same meaning in every operation.
Exceptions of the framework and of the database are turned into refusals first.

`detail` tells people what to do next, and never repeats the input. The exact reason goes only to
the log. An exception that is none of these is a bug: the client gets a 500 without any details.
"""

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
from referral.core.channels import Channel
from referral.core.errors import Refusal
from referral.http import field_errors
from referral.http.field_errors import FieldError
from referral.http.server import options
from referral.storage import database

MEDIA_TYPE = "application/problem+json"
# Retry-After, in seconds
_STORAGE_RETRY = 2
_OVERLOADED_RETRY = 1


class BodyTooLarge(Refusal):
    code = "body_too_large"
    detail = "The body is larger than 64 KiB. Send less."


class UnsupportedMediaType(Refusal):
    code = "unsupported_media_type"
    detail = "Send the body as JSON, with `Content-Type: application/json`."


class MethodNotAllowed(Refusal):
    code = "method_not_allowed"
    detail = "This path does not support this method. Use one of those in Allow."


class StorageUnavailable(Refusal):
    code = "storage_unavailable"
    detail = (
        "The database is unavailable. Nothing was lost: "
        "repeat the request after the time in Retry-After."
    )


class OtherSite(Refusal):
    code = "other_site"
    detail = "This form was not sent from this site. Reload the page and send it again."


class Overloaded(Refusal):
    code = "overloaded"
    detail = (
        "The service is overloaded. Nothing was lost: "
        "repeat the request after the time in Retry-After."
    )


class InternalError(Refusal):
    code = "internal_error"
    detail = "Something went wrong on the server. The error is logged; try again later."


class Problem(Struct, frozen=True, kw_only=True):
    """An error (RFC 9457). `code` is stable; `detail` tells people what to do next."""

    type: Annotated[str, Meta(examples=["urn:referral:problem:wrong_code"])]
    title: Annotated[str, Meta(examples=["Wrong code"])]
    status: Annotated[int, Meta(examples=[400])]
    detail: str
    code: Annotated[str, Meta(examples=["wrong_code"])]
    errors: Annotated[
        list[FieldError] | UnsetType, Meta(description="Only with `invalid_request`.")
    ] = UNSET
    attempts_left: Annotated[
        int | UnsetType,
        Meta(description="Only with `wrong_code`: how many more guesses the challenge allows."),
    ] = UNSET
    other_channels: Annotated[
        list[Channel] | UnsetType,
        Meta(
            description=(
                "Only with `sms_unavailable`, if there are any: the channels that were not tried. "
                "Ask for one as the `channel` of the next request."
            )
        ),
    ] = UNSET


# Status and title
STATUSES: dict[type[Refusal], tuple[int, str]] = {
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
    errors.InvitationRequired: (403, "Invitation required"),
    errors.SignUpClosed: (403, "Sign-up closed"),
    OtherSite: (403, "Forbidden"),
    errors.SignInAgain: (403, "Sign in again"),
    errors.NotFound: (404, "Not found"),
    errors.UnknownInviteCode: (404, "Unknown invite code"),
    MethodNotAllowed: (405, "Method not allowed"),
    errors.OwnInviteCode: (409, "Own invite code"),
    errors.InviteAlreadyActivated: (409, "Invite already activated"),
    errors.InviteLoop: (409, "Invite loop"),
    errors.InvitesUsedUp: (409, "Invites used up"),
    errors.ActivationTooLate: (409, "Activation too late"),
    errors.PhoneTaken: (409, "Phone taken"),
    errors.EventConflict: (409, "Event conflict"),
    errors.RedemptionConflict: (409, "Redemption conflict"),
    errors.InsufficientBalance: (409, "Insufficient balance"),
    errors.ReviewConflict: (409, "Review conflict"),
    BodyTooLarge: (413, "Body too large"),
    UnsupportedMediaType: (415, "Unsupported media type"),
    InternalError: (500, "Internal error"),
    errors.SmsUnavailable: (503, "SMS unavailable"),
    StorageUnavailable: (503, "Storage unavailable"),
    Overloaded: (503, "Overloaded"),
}

# The refusals for exceptions of the framework, by status. Its own messages repeat the input
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


def refusal_response(request: Request[Any, Any, Any], refusal: Refusal) -> Response[Problem]:
    """Log a refusal with its exact reason, and return the response to it."""
    log_refusal(request, refusal)
    return _response(refusal)


def log_refusal(request: Request[Any, Any, Any], refusal: Refusal) -> None:
    """Log a refusal with its exact reason."""
    log_error(request, refusal.code, refusal.reason)


def log_error(request: Request[Any, Any, Any], code: str, reason: str) -> None:
    """Log why a request was refused."""
    observability.request_refused(code, reason, method=request.method, route=_route(request))


def framework_response(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Return the response to an exception of the framework, such as one for an unknown path."""
    kind = _FRAMEWORK.get(error.status_code)
    if kind is None:
        return failure_response(request, error)
    refusal = kind(reason=type(error).__name__)
    if kind is errors.InvalidRequest:
        refusal.members = {"errors": field_errors.from_exception(request, error)}
    response = refusal_response(request, refusal)
    if kind is MethodNotAllowed:
        response.headers["Allow"] = options.allowed_methods(request)
    return response


def unavailable_response(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Return the response while the database is unavailable."""
    observability.storage_unavailable(error, method=request.method, route=_route(request))
    return _response(StorageUnavailable(retry_after=_STORAGE_RETRY))


def failure_response(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Log an unexpected exception, and return a response that says nothing about it."""
    observability.request_failed(error, method=request.method, route=_route(request))
    return _response(InternalError())


@cache
def overloaded() -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body of the 503 for overload.

    They are ready to send, because refusing must be cheap: these requests do not reach the
    framework.
    """
    return _encoded(Overloaded(retry_after=_OVERLOADED_RETRY))


@cache
def malformed() -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body of the 400 for bytes that are not HTTP."""
    return _encoded(errors.InvalidRequest.field("", "This is not a valid HTTP/1.1 request."))


@cache
def head_too_large() -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body of the 400 for a request whose head is too large."""
    return _encoded(
        errors.InvalidRequest.field("", "Path and headers together may have at most 64 KiB.")
    )


def _encoded(refusal: Refusal) -> tuple[list[tuple[bytes, bytes]], bytes]:
    response = _response(refusal)
    body = msgspec.json.encode(response.content)
    headers = {
        **response.headers,
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
    }
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()], body


HANDLERS: dict[int | type[Exception], Callable[..., Response[Problem]]] = {
    Refusal: refusal_response,
    HTTPException: framework_response,
    Exception: failure_response,
    database.Unavailable: unavailable_response,
}


def problem(kind: type[Refusal], detail: str, members: Mapping[str, Any]) -> Problem:
    """Return the problem document for a class of refusals.

    members: the fields that only this class has, by name.
    """
    status, title = STATUSES[kind]
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
    if isinstance(refusal, errors.LimitExceeded):
        headers |= _rate_limit(refusal)
    if challenge := _WWW_AUTHENTICATE.get(type(refusal)):
        headers["WWW-Authenticate"] = challenge
    return Response(
        body,
        status_code=body.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def _rate_limit(refusal: errors.LimitExceeded) -> dict[str, str]:
    """Return the headers of draft-ietf-httpapi-ratelimit-headers-10 for an exhausted limit."""
    name, size, window = refusal.limit
    return {
        "RateLimit-Policy": f'"{name}";q={size};w={window}',
        "RateLimit": f'"{name}";r=0;t={refusal.retry_after}',
    }


def _route(request: Request[Any, Any, Any]) -> str:
    """Return the template of the route: parameters in the path must not get into the log."""
    template = request.scope.get("path_template")
    return str(template) if template else "unknown"
