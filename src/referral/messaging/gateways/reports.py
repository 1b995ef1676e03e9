"""Delivery reports, which providers send later about the messages that they accepted."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import msgspec

from referral.core import phone as phones

_Body = TypeVar("_Body")

_PHONE = re.compile(r"\+?([1-9][0-9]{2,14})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A delivery report.

    id: the provider's ID of the message. One message may get several reports, and the same report
    may come again, in any order. phone: in E.164, as the provider knows it, which can differ from
    the one that the message was sent to. is_unbilled: the provider does not bill the message.
    receipt: the message's, if any.
    """

    id: str
    phone: str = field(repr=False)
    is_delivered: bool
    is_unbilled: bool
    receipt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """A request with delivery reports.

    headers: by their names in lower case. url: the public one. now: when it came, in UTC.
    """

    headers: Mapping[str, str]
    body: bytes
    url: str
    now: datetime

    def header(self, name: str) -> str:
        """Return a header; "" if it is missing."""
        return self.headers.get(name, "")


class ReportError(Exception):
    """A request is no report of the provider's. The text shows nothing of it."""


class MalformedReportError(ReportError):
    """The body of a request is malformed."""


def require_signature(given: str, *expected: str) -> None:
    """Raise ReportError unless the signature is one of those expected, in constant time."""
    matches = [hmac.compare_digest(given.encode(), each.encode()) for each in expected]
    if not any(matches):
        raise ReportError("the signature is wrong")


def parse(body: bytes, body_type: type[_Body]) -> _Body:
    """Parse a JSON body. Raises MalformedReportError."""
    try:
        return msgspec.json.decode(body, type=body_type)
    except (ValueError, RecursionError):
        raise MalformedReportError("the body is malformed") from None


def parse_phone(text: str) -> str:
    """Return a phone in E.164, which some providers write without the +.

    Raises MalformedReportError.
    """
    match = _PHONE.fullmatch(text)
    phone = f"+{match[1]}" if match else ""
    if not phone or not phones.has_country(phone):
        raise MalformedReportError("the phone is malformed")
    return phone
