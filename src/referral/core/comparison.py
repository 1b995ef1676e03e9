"""Compare the days of a period with as many days before, and leave out the day that is not over.

The period before begins one whole length of the period earlier. So if today is the last day of
seven, the six days before it are compared with the same six days of the week before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from referral.core.days import Days


@dataclass(frozen=True, slots=True)
class Change:
    """A number, and the one of the period before."""

    now: int
    before: int

    @property
    def percent(self) -> int | None:
        """Return the change, rounded; None if there was nothing before."""
        return round((self.now - self.before) / self.before * 100) if self.before else None


def periods(days: Days, *, today: date) -> tuple[Days, Days] | None:
    """Return the finished days and the days before to compare them with, if there are both."""
    over, earlier = finished(days, today=today), before(days, today=today)
    return (over, earlier) if over is not None and earlier is not None else None


def finished(days: Days, *, today: date) -> Days | None:
    """Return the days that are over, if there are any."""
    last = min(days.last.toordinal(), today.toordinal() - 1)
    if last < days.first.toordinal():
        return None
    return Days(days.first, date.fromordinal(last))


def before(days: Days, *, today: date) -> Days | None:
    """Return the days to compare the finished ones with, if the calendar has them."""
    over = finished(days, today=today)
    length = days.last.toordinal() - days.first.toordinal() + 1
    if over is None or over.first.toordinal() <= length:
        return None
    first, last = (date.fromordinal(day.toordinal() - length) for day in (over.first, over.last))
    return Days(first, last)
