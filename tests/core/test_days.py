"""Ranges of days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.core import days
from referral.core.errors import InvalidRequest

TODAY = date(2026, 1, 31)


def test_default_is_the_last_30_days() -> None:
    found = days.parse(None, None, today=TODAY)
    assert (found.first, found.last) == (date(2026, 1, 2), TODAY)
    assert len(list(found)) == 30


@given(first=st.dates(), length=st.integers(0, 400))
def test_range_covers_its_days_to_the_microsecond(first: date, length: int) -> None:
    last = date.fromordinal(min(first.toordinal() + length, date.max.toordinal()))
    if (last - first).days >= days.MAX_DAYS:
        with pytest.raises(InvalidRequest):
            days.parse(first.isoformat(), last.isoformat(), today=TODAY)
        return
    found = days.parse(first.isoformat(), last.isoformat(), today=TODAY)
    assert (min(found), max(found)) == (first, last)
    assert found.start == datetime(first.year, first.month, first.day, tzinfo=UTC)
    if last < date.max:
        following = last + timedelta(days=1)
        midnight = datetime(following.year, following.month, following.day, tzinfo=UTC)
        assert found.end + timedelta(microseconds=1) == midnight


@given(text=st.text())
def test_invalid_day_names_its_field(text: str) -> None:
    try:
        days.parse(None, text, today=TODAY)
    except InvalidRequest as refusal:
        assert [error["field"] for error in refusal.members["errors"]] == ["to"]  # noqa: PT017 - a text may also be a valid day
    else:
        assert date.fromisoformat(text).isoformat() == text
