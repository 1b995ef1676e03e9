"""The refusals of requests, as one tree of exceptions with stable codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

from referral.core.channels import Channel


class Limit(NamedTuple):
    """A limit as clients see it: `size` requests in `window` seconds."""

    name: str
    size: int
    window: int


class Refusal(Exception):  # noqa: N818 - the rules refused the request; nothing failed
    """A request refused by the rules.

    code: stable, for programs. detail: says what is wrong and what to do next, for people.
    reason: the exact cause, for the log only. retry_after: seconds until the request can succeed.
    members: further members of the problem details (RFC 9457, section 3.2).
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
    detail = "The request is invalid. Correct what `errors` lists, then send it again."

    @classmethod
    def field(cls, field: str, message: str) -> InvalidRequest:
        """Refuse the value of one field. message: says what to correct, for people."""
        return cls(errors=[{"field": field, "message": message}])


class InvalidPhone(Refusal):
    code = "invalid_phone"
    detail = (
        "This is not a possible phone number. Write it with + and the country code, "
        "such as +7 999 123-45-67."
    )


class UnsupportedPhone(Refusal):
    code = "unsupported_phone"
    detail = (
        "This service does not send codes to this country: Germany. "
        "Use a mobile number such as +7 999 123-45-67."
    )

    def __init__(self, detail: str | None = None, *, country: str = "", **more: Any) -> None:
        """country: the region that is not served, or its calling code; empty for another reason."""
        super().__init__(detail, **more)
        self.country = country


class ChallengeInvalid(Refusal):
    code = "challenge_invalid"
    detail = "This token is not valid for this operation. Request a new code."


class ChallengeExpired(Refusal):
    code = "challenge_expired"
    detail = "This code has expired. Request a new one."


class ChallengeSpent(Refusal):
    code = "challenge_spent"
    detail = "This code has already been used. Request a new one."


class WrongCode(Refusal):
    code = "wrong_code"
    detail = "The code is wrong. Compare it with the message, or request a new one."

    @classmethod
    def with_attempts_left(cls, attempts: int) -> WrongCode:
        last = "The code is wrong, and no attempts are left. Request a new code."
        return cls(None if attempts else last, attempts_left=attempts)


class LimitExceeded(Refusal):
    """A limit is exhausted."""

    limit: Limit

    @classmethod
    def by(cls, limit: Limit, *, retry_after: int) -> Self:
        """Return the refusal of a request by this limit."""
        refusal = cls(reason=limit.name, retry_after=retry_after)
        refusal.limit = limit
        return refusal


class TooManyAttempts(LimitExceeded):
    code = "too_many_attempts"
    detail = "Too many wrong codes. Request a new code after the time in `Retry-After`."


class TooManyRequests(LimitExceeded):
    code = "too_many_requests"
    detail = "Too many requests of this kind. Repeat the request after the time in `Retry-After`."


class Unauthorized(Refusal):
    code = "unauthorized"
    detail = (
        "Send a valid access token as `Authorization: Bearer ...`. Refresh it, or sign in again."
    )


class NotSignedIn(Unauthorized):
    """A request without a token, whose response names no error (RFC 6750, section 3.1)."""


class InvalidRefreshToken(Refusal):
    code = "invalid_refresh_token"
    detail = "This refresh token is no longer valid. Sign in again."


class Forbidden(Refusal):
    code = "forbidden"
    detail = "This account has no access to this operation. Ask an administrator for it."


class AccountBlocked(Refusal):
    code = "account_blocked"
    detail = "This account is blocked. Contact support."


class InvitationRequired(Refusal):
    code = "invitation_required"
    detail = (
        "A new account needs an invitation. Send the same code again together with the "
        "`invite_code` of somebody who has an account."
    )


class SignUpClosed(Refusal):
    code = "sign_up_closed"
    detail = (
        "This service takes no new accounts at present. Ask the team that runs it to add this "
        "phone, then send the same code again."
    )


class SignInAgain(Refusal):
    code = "sign_in_again"
    detail = (
        "This needs a sign-in less than 15 minutes old. Sign in again, then repeat the request."
    )


class NotFound(Refusal):
    code = "not_found"
    detail = "Nothing was found here. Check the path and the id."


class UnknownInviteCode(Refusal):
    code = "unknown_invite_code"
    detail = "There is no such invite code. Check its 6 characters with the person who sent it."


class OwnInviteCode(Refusal):
    code = "own_invite_code"
    detail = "This is your own invite code. Enter somebody else's."


class InviteAlreadyActivated(Refusal):
    code = "invite_already_activated"
    detail = (
        "An invite code was already activated with this phone, and it can activate only one. "
        "Continue without another."
    )


class InviteLoop(Refusal):
    code = "invite_loop"
    detail = "You invited this person, directly or through others. Enter another invite code."


class InvitesUsedUp(Refusal):
    code = "invites_used_up"
    detail = (
        "This invite code has admitted as many people as it may. Use the invite code of somebody "
        "else."
    )


class ActivationTooLate(Refusal):
    code = "activation_too_late"
    detail = (
        "An invite code can be activated only for some days after the sign-up, and these are over. "
        "Continue without one."
    )


class PhoneTaken(Refusal):
    code = "phone_taken"
    detail = "Another account has this phone. Use another phone, or sign in with this one."


class EventConflict(Refusal):
    code = "event_conflict"
    detail = "Another event was posted with this `event_id`. Give each event an id of its own."


class RedemptionConflict(Refusal):
    code = "redemption_conflict"
    detail = (
        "Another redemption has this `redemption_id`, or it was reversed. Give each redemption an "
        "id of its own."
    )


class InsufficientBalance(Refusal):
    code = "insufficient_balance"
    detail = "The user has less of this unit available. Nothing was redeemed: redeem less."


class ReviewConflict(Refusal):
    code = "review_conflict"
    detail = "This entry is not in review. Reload it to see what was decided."


class SmsUnavailable(Refusal):
    code = "sms_unavailable"
    detail = (
        "The message could not be sent. Repeat the request after the time in `Retry-After`; "
        "the failed message may count against the limits on messages."
    )
    _WITH_OTHERS = (
        "The message could not be sent. Repeat the request after the time in `Retry-After`, with "
        "one of `other_channels` as its `channel`; the failed message may count against the limits "
        "on messages."
    )

    @classmethod
    def by(
        cls, tried: Sequence[Channel], *, others: Sequence[Channel], retry_after: int
    ) -> SmsUnavailable:
        """Refuse a message that no channel of those tried has accepted.

        others: those that were not tried and can be asked for.
        """
        reason = f"no gateway accepted it: {', '.join(tried)}"
        if not others:
            return cls(reason=reason, retry_after=retry_after)
        return cls(
            cls._WITH_OTHERS, reason=reason, retry_after=retry_after, other_channels=list(others)
        )
