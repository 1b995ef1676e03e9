"""A user as files of users have it: six texts, of which only the phone has to be there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import msgspec

from referral.core import invite_code, phone, profile_fields
from referral.core.errors import InvalidRequest, UnknownInviteCode

FIELDS = ("phone", "name", "email", "invite_code", "inviter_code", "created_at")

# RFC 3339, and as PostgreSQL, Ruby and others write a moment: offsets of +00 and +0530, and UTC
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?)"
    r" ?(?:[Zz]|UTC|([+-][0-9]{2})(?::?([0-9]{2}))?)"
)

# What is older is the zero of somebody's clock
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """A row that the rules take. phone: E.164. The codes are as written. created_at: in UTC."""

    phone: str
    name: str | None = None
    email: str | None = None
    invite_code: str | None = None
    inviter_code: str | None = None
    created_at: datetime | None = None


def parse(
    texts: Mapping[str, str], *, rules: phone.PhoneRules, now: datetime, invite_url: str = ""
) -> UserRow:
    """The row of these texts; one that is missing is as good as an empty one.

    invite_url: the shape of invite links. The code of a link stands for the link.

    Raises InvalidPhone, UnsupportedPhone, InvalidRequest.
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
        created_at=_read_moment(created_at, now) if created_at else None,
    )


def to_texts(row: UserRow) -> dict[str, str | None]:
    """The texts of a row, from which `read` makes the same row."""
    at = row.created_at
    moment = None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {field: getattr(row, field) for field in FIELDS[:-1]} | {"created_at": moment}


def canonical_code(text: str | None, invite_url: str = "") -> str | None:
    """The invite code that this text stands for, or None where none can look like it."""
    try:
        return invite_code.parse(text or "", invite_url)
    except UnknownInviteCode:
        return None


def code_key(text: str) -> str:
    """What two spellings of one code have in common, codes of other systems too."""
    return canonical_code(text) or text.casefold()


def _read_moment(text: str, now: datetime) -> datetime:
    """A moment (RFC 3339), or a date alone, which is its first moment in UTC."""
    try:
        moment = _parse(text)
        if moment.tzinfo is not None and EARLIEST <= moment <= now:
            return moment.astimezone(UTC)
    except msgspec.ValidationError:
        pass
    else:
        if moment.tzinfo is not None:
            raise InvalidRequest.field(
                "created_at", f"In the future, or before {EARLIEST.date()}: correct it."
            )
    raise InvalidRequest.field(
        "created_at",
        "Write it as 2026-01-31T12:00:00Z or 2026-01-31 12:00:00+00, with Z or an offset, or as "
        "2026-01-31.",
    )


def _parse(text: str) -> datetime:
    if written := _MOMENT.fullmatch(text):
        day, time, hours, minutes = written.groups()
        text = f"{day}T{time}{hours}:{minutes or '00'}" if hours else f"{day}T{time}Z"
    if len(text) == len("2026-01-31"):
        day = msgspec.convert(text, date)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    return msgspec.convert(text, datetime)
