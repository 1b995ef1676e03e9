"""Ranges of days, in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from referral.core.errors import InvalidRequest

DEFAULT_DAYS = 30
MAX_DAYS = 366


@dataclass(frozen=True, slots=True)
class Days:
    """The days from `first` to `last`, both included."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        """The first microsecond of the first day."""
        return datetime.combine(self.first, time.min, UTC)

    @property
    def end(self) -> datetime:
        """The last microsecond of the last day."""
        return datetime.combine(self.last, time.max, UTC)

    def __iter__(self) -> Iterator[date]:
        for number in range(self.first.toordinal(), self.last.toordinal() + 1):
            yield date.fromordinal(number)


def parse(first: str | None, last: str | None, *, today: date) -> Days:
    """Parse a range of days, written `2026-01-31`. Raises InvalidRequest.

    Without `last` it ends today; without `first` it is 30 days long.
    """
    until = parse_day(last, field="to") if last is not None else today
    if first is not None:
        since = parse_day(first, field="from")
    else:
        since = date.fromordinal(max(1, until.toordinal() - DEFAULT_DAYS + 1))
    if since > until:
        raise InvalidRequest.field("from", "Give a day that is not after `to`.")
    if (until - since).days >= MAX_DAYS:
        raise InvalidRequest.field("from", f"Give at most {MAX_DAYS} days.")
    return Days(since, until)


def parse_day(text: str, *, field: str) -> date:
    """Parse a day, written `2026-01-31`. Raises InvalidRequest, which names the field."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    # fromisoformat() accepts other forms of ISO 8601 too
    if found is None or found.isoformat() != text:
        raise InvalidRequest.field(field, "Write a day as 2026-01-31.")
    return found
