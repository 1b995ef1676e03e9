"""A code that is under way: what its page shows, and what comes after it, in a cookie."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request

from referral.core import phone as phones
from referral.core.errors import InvalidPhone, UnsupportedPhone
from referral.http.pages import cookies, parcel
from referral.service.codes import SentCode
from referral.service.parts import Parts

# An hour: long enough to find the message, and afterwards to ask for another
SECONDS = 3600


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A code that was sent.

    expires_at, resend_at: Unix seconds. code: while sending is simulated. next: where to go then.
    """

    token: str
    phone: str
    code_length: int
    expires_at: int
    resend_at: int
    code: str = ""
    invite_code: str = ""
    next: str = ""

    @classmethod
    def of(cls, sent: SentCode, *, parts: Parts, invite_code: str = "", then: str = "") -> Pending:
        now = int(parts.clock().timestamp())
        return cls(
            token=sent.token,
            phone=sent.phone,
            code_length=sent.code_length,
            expires_at=now + sent.expires_in,
            resend_at=now + sent.resend_in,
            code=sent.code or "",
            invite_code=invite_code,
            next=then,
        )

    def seconds_to_wait(self, parts: Parts) -> int:
        """Until another can be asked for."""
        return max(self.resend_at - int(parts.clock().timestamp()), 0)

    def is_good_for(self, text: str, parts: Parts) -> bool:
        """Whether it is under way to the phone that was typed."""
        if self.expires_at <= parts.clock().timestamp():
            return False
        try:
            return phones.read(text, parts.phone_rules) == self.phone
        except (InvalidPhone, UnsupportedPhone):
            return False


def find(request: Request[Any, Any, Any]) -> Pending | None:
    """The one of a sign-in in this browser, if any."""
    return parcel.read(cookies.get(request, cookies.SIGN_IN), Pending)


def keep(request: Request[Any, Any, Any], pending: Pending) -> None:
    cookies.put(request, cookies.SIGN_IN, parcel.write(pending), seconds=SECONDS)
