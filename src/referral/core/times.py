"""Parse times that clients send (RFC 3339, section 5.6)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from referral.core.errors import InvalidRequest

# "2026-01-31T12:00:00Z", also with an offset and with fractions of a second
_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_MAX_LENGTH = 40
# The first and the last time that Python can express are infinite for PostgreSQL's driver, which
# returns them without an offset
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def parse(text: str, *, field: str) -> datetime:
    """Parse a time with an offset, to microseconds, in UTC. Raises InvalidRequest.

    A time before 1970 counts as the beginning of 1970: some programs write "always" as year 1.
    """
    if len(text) <= _MAX_LENGTH and _DATE_TIME.fullmatch(text):
        try:
            at = datetime.fromisoformat(text.upper()).astimezone(UTC)
            return min(max(at, _FIRST), _LAST)
        except (ValueError, OverflowError):
            pass
    raise InvalidRequest.field(
        field, "Give a time with an offset, such as 2026-01-31T12:00:00Z (RFC 3339)."
    )
