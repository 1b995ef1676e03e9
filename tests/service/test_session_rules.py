"""How often a lost answer of a refresh is made good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from referral.service import session_rules

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_three_late_repeats_in_a_day_and_no_fourth() -> None:
    tat = 0
    for _ in range(3):
        counted = session_rules.late_repeat(tat, now=NOW)
        assert counted is not None
        tat = counted
    assert session_rules.late_repeat(tat, now=NOW + HOUR) is None
    assert session_rules.late_repeat(tat, now=NOW + 8 * HOUR - timedelta(seconds=1)) is None
    assert session_rules.late_repeat(tat, now=NOW + 8 * HOUR) is not None


def test_a_day_later_there_are_three_again() -> None:
    tat, now = 0, NOW
    for _ in range(3):
        tat = session_rules.late_repeat(tat, now=now) or 0
    now += 24 * HOUR
    for _ in range(3):
        counted = session_rules.late_repeat(tat, now=now)
        assert counted is not None
        tat = counted
    assert session_rules.late_repeat(tat, now=now) is None


@given(st.lists(st.integers(-3600, 90_000), max_size=60))
def test_what_is_kept_only_rises(steps: list[int]) -> None:
    """Also where a clock is set back: the next token derives from it and has to be new."""
    tat, now = 0, NOW
    for step in steps:
        now += timedelta(seconds=step)
        counted = session_rules.late_repeat(tat, now=now)
        if counted is not None:
            assert counted > tat
            tat = counted
