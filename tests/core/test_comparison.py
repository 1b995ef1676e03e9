"""Periods are compared with as many days before, without the day that is not over."""

from __future__ import annotations

from datetime import date

import pytest

from referral.core import comparison
from referral.core.comparison import Change
from referral.core.days import Days

TODAY = date(2026, 11, 29)


def november(first: int, last: int) -> Days:
    return Days(date(2026, 11, first), date(2026, 11, last))


@pytest.mark.parametrize(
    ("shown", "finished", "before"),
    [
        # Today is the last day: six days, and the same six of the week before
        (november(23, 29), november(23, 28), november(16, 21)),
        (november(22, 28), november(22, 28), november(15, 21)),
        (november(28, 28), november(28, 28), november(27, 27)),
        # Nothing is over
        (november(29, 29), None, None),
        (november(30, 30), None, None),
        # The calendar begins too late
        (Days(date(1, 1, 5), date(1, 1, 20)), Days(date(1, 1, 5), date(1, 1, 20)), None),
        (Days(date(1, 1, 1), date(1, 1, 1)), Days(date(1, 1, 1), date(1, 1, 1)), None),
    ],
)
def test_days_that_are_compared(shown: Days, finished: Days | None, before: Days | None) -> None:
    assert comparison.finished(shown, today=TODAY) == finished
    assert comparison.before(shown, today=TODAY) == before


@pytest.mark.parametrize(
    ("now", "before", "percent"),
    [(112, 100, 12), (0, 4, -100), (5, 5, 0), (1000, 1, 99_900), (7, 0, None), (0, 0, None)],
)
def test_change_in_percent(now: int, before: int, percent: int | None) -> None:
    assert Change(now, before).percent == percent
