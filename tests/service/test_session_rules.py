"""The limit of late repeats of a refresh token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from referral.service import session_rules

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_three_late_repeats_are_allowed_in_a_day() -> None:
    tat = 0
    for _ in range(3):
        charged = session_rules.charge_late_repeat(tat, now=NOW)
        assert charged is not None
        tat = charged
    assert session_rules.charge_late_repeat(tat, now=NOW + HOUR) is None
    assert session_rules.charge_late_repeat(tat, now=NOW + 8 * HOUR - timedelta(seconds=1)) is None
    assert session_rules.charge_late_repeat(tat, now=NOW + 8 * HOUR) is not None


def test_late_repeats_are_allowed_again_a_day_later() -> None:
    tat, now = 0, NOW
    for _ in range(3):
        tat = session_rules.charge_late_repeat(tat, now=now) or 0
    now += 24 * HOUR
    for _ in range(3):
        charged = session_rules.charge_late_repeat(tat, now=now)
        assert charged is not None
        tat = charged
    assert session_rules.charge_late_repeat(tat, now=now) is None


@given(st.lists(st.integers(-3600, 90_000), max_size=60))
def test_the_tat_only_rises(steps: list[int]) -> None:
    """Even if the clock is set back: the next token is derived from it and has to differ."""
    tat, now = 0, NOW
    for step in steps:
        now += timedelta(seconds=step)
        charged = session_rules.charge_late_repeat(tat, now=now)
        if charged is not None:
            assert charged > tat
            tat = charged
