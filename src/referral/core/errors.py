"""Every way the rules can refuse a request: one tree, with stable codes."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Self


class Limit(NamedTuple):
    """A limit as clients are told of it: `size` in a window of so many seconds."""

    name: str
    size: int
    window: int


class Refusal(Exception):  # noqa: N818 - refusing is what the rules do; nothing broke
    """A request refused by the rules.

    code: stable, for programs. detail: for people, and says what to do next.
    reason: the exact cause, for the log alone. retry_after: seconds until the call can work.
    members: what else the answer carries.
    """

    code: ClassVar[str]
    detail: str

    def __init__(
        self,
        detail: str | None = None,
        *,
        reason: str = "",
        retry_after: int | None = None,
        **members: Any,
    ) -> None:
        if detail is not None:
            self.detail = detail
        self.reason = reason
        self.retry_after = retry_after
        self.members = members
        super().__init__(reason or self.detail)


class InvalidRequest(Refusal):
    code = "invalid_request"
    detail = "The request is not what this operation takes. Correct what `errors` names."

    @classmethod
    def field(cls, field: str, message: str) -> InvalidRequest:
        return cls(errors=[{"field": field, "message": message}])


class InvalidPhone(Refusal):
    code = "invalid_phone"
    detail = (
        "This is not a possible phone number. Write it with + and the country's code, "
        "such as +7 999 123-45-67."
    )


class UnsupportedPhone(Refusal):
    code = "unsupported_phone"
    detail = (
        "This service does not send codes to phones of this country: Germany. "
        "Use a mobile phone such as +7 999 123-45-67."
    )

    def __init__(self, detail: str | None = None, *, country: str = "", **more: Any) -> None:
        """country: which one is not served, or its calling code; empty if the kind is not."""
        super().__init__(detail, **more)
        self.country = country


class ChallengeInvalid(Refusal):
    code = "challenge_invalid"
    detail = "This token was not made here for this purpose. Ask for a new code."


class ChallengeExpired(Refusal):
    code = "challenge_expired"
    detail = "This code is too old. Ask for a new one."


class ChallengeSpent(Refusal):
    code = "challenge_spent"
    detail = "This code has been used already. Ask for a new one."


class WrongCode(Refusal):
    code = "wrong_code"
    detail = "The code is wrong. Compare it with the message, or ask for a new one."

    @classmethod
    def with_attempts_left(cls, attempts: int) -> WrongCode:
        last = "The code is wrong, and this was the last guess. Ask for a new code."
        return cls(None if attempts else last, attempts_left=attempts)


class LimitExceeded(Refusal):
    """A limit is exhausted."""

    limit: Limit

    @classmethod
    def by(cls, limit: Limit, *, retry_after: int) -> Self:
        refusal = cls(reason=limit.name, retry_after=retry_after)
        refusal.limit = limit
        return refusal


class TooManyAttempts(LimitExceeded):
    code = "too_many_attempts"
    detail = "Too many wrong codes. Ask for a new one after the time in Retry-After."


class TooManyRequests(LimitExceeded):
    code = "too_many_requests"
    detail = "Too many requests of this kind. Repeat it after the time in Retry-After."


class Unauthorized(Refusal):
    code = "unauthorized"
    detail = "Send a valid access token as `Authorization: Bearer ...`; refresh it or sign in."


class NotSignedIn(Unauthorized):
    """No token came at all, which a client is told without a word of an error (RFC 6750)."""


class InvalidRefreshToken(Refusal):
    code = "invalid_refresh_token"
    detail = "This refresh token is no longer good. Sign in again."


class Forbidden(Refusal):
    code = "forbidden"
    detail = "This operation is not for this account."


class AccountBlocked(Refusal):
    code = "account_blocked"
    detail = "This account is blocked. Ask the service's support."


class SignInAgain(Refusal):
    code = "sign_in_again"
    detail = "This needs a sign-in under 15 minutes old. Sign in again, then repeat the call."


class NotFound(Refusal):
    code = "not_found"
    detail = "There is nothing here. Check the path and the id."


class UnknownInviteCode(Refusal):
    code = "unknown_invite_code"
    detail = "There is no such invite code. Check its 6 characters with the person it came from."


class OwnInviteCode(Refusal):
    code = "own_invite_code"
    detail = "This invite code is your own. Enter somebody else's."


class InviteAlreadyActivated(Refusal):
    code = "invite_already_activated"
    detail = "An invite code was activated already, and one is all a phone can activate."


class InviteLoop(Refusal):
    code = "invite_loop"
    detail = "This person was invited by you, directly or through others. Enter another code."


class PhoneTaken(Refusal):
    code = "phone_taken"
    detail = "Another account has this phone. Use another, or sign in with it."


class SmsUnavailable(Refusal):
    code = "sms_unavailable"
    detail = "The message could not be sent. Nothing was lost: repeat the call."
