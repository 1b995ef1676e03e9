"""A row of a file of users: six texts, of which only the phone is required."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import msgspec

from referral.core import invite_code, phone, profile_fields
from referral.core.errors import InvalidRequest, UnknownInviteCode

FIELDS = ("phone", "name", "email", "invite_code", "inviter_code", "created_at")

# RFC 3339, and the forms of PostgreSQL, Ruby and others: offsets such as +00 and +0530, and UTC
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?)"
    r" ?(?:[Zz]|UTC|([+-][0-9]{2})(?::?([0-9]{2}))?)"
)

# An earlier date comes from a clock that was never set
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """A row that the rules accept. phone: E.164. The codes are as written. created_at: in UTC."""

    phone: str
    name: str | None = None
    email: str | None = None
    invite_code: str | None = None
    inviter_code: str | None = None
    created_at: datetime | None = None


def parse(
    texts: Mapping[str, str], *, rules: phone.PhoneRules, now: datetime, invite_url: str = ""
) -> UserRow:
    """Parse a row. A missing text counts as an empty one.

    invite_url: the template of invite links. An invite link is replaced with its code.

    Raises InvalidPhone, UnsupportedPhone or InvalidRequest.
    """

    def text(field: str) -> str | None:
        return texts.get(field, "").strip() or None

    def code(field: str) -> str | None:
        given = text(field)
        is_link = given is not None and "/" in given
        return (canonical_code(given, invite_url) if is_link else None) or given

    name, email, created_at = text("name"), text("email"), text("created_at")
    return UserRow(
        phone=phone.parse(texts.get("phone", ""), rules),
        name=name and profile_fields.parse_name(name),
        email=email and profile_fields.parse_email(email),
        invite_code=code("invite_code"),
        inviter_code=code("inviter_code"),
        created_at=_parse_created_at(created_at, now) if created_at else None,
    )


def to_texts(row: UserRow) -> dict[str, str | None]:
    """Return the texts from which `parse` makes the same row."""
    at = row.created_at
    created_at = None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {field: getattr(row, field) for field in FIELDS[:-1]} | {"created_at": created_at}


def canonical_code(text: str | None, invite_url: str = "") -> str | None:
    """Return the invite code that a text spells, or None if it does not have the form of one."""
    try:
        return invite_code.parse(text or "", invite_url)
    except UnknownInviteCode:
        return None


def code_key(text: str) -> str:
    """Return a key that all spellings of a code share, even if another system made the code."""
    return canonical_code(text) or text.casefold()


def _parse_created_at(text: str, now: datetime) -> datetime:
    """Parse a timestamp, or a date, which means the start of that day in UTC."""
    try:
        at = _parse_timestamp(text)
        if at.tzinfo is not None and EARLIEST <= at <= now:
            return at.astimezone(UTC)
    except msgspec.ValidationError:
        pass
    else:
        if at.tzinfo is not None:
            raise InvalidRequest.field(
                "created_at", f"This is in the future or before {EARLIEST.date()}: correct it."
            )
    raise InvalidRequest.field(
        "created_at",
        "Write it as 2026-01-31T12:00:00Z or 2026-01-31 12:00:00+00, with Z or an offset, or as "
        "2026-01-31.",
    )


def _parse_timestamp(text: str) -> datetime:
    if match := _TIMESTAMP.fullmatch(text):
        day, time, hours, minutes = match.groups()
        text = f"{day}T{time}{hours}:{minutes or '00'}" if hours else f"{day}T{time}Z"
    if len(text) == len("2026-01-31"):
        day = msgspec.convert(text, date)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    return msgspec.convert(text, datetime)
