"""The waits between sends. tests/cli/test_settings.py tests the numbers of the limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.limits.policy import Limits


@pytest.mark.parametrize(("nth", "seconds"), [(1, 30), (2, 60), (3, 120), (4, 120), (1000, 120)])
def test_waits_grow_and_the_last_stays(nth: int, seconds: int) -> None:
    assert Limits().resend_in(nth) == seconds


def test_no_wait_is_longer_than_a_code_lives() -> None:
    limits = Limits(resend_waits=(10, 3600), code_life=45)
    assert [limits.resend_in(nth) for nth in (1, 2, 3)] == [10, 45, 45]


def test_wait_can_be_zero() -> None:
    assert Limits(resend_waits=(0,)).resend_in(1) == 0
    assert [Limits(resend_waits=(0, 5)).resend_in(nth) for nth in (1, 2, 3)] == [0, 5, 5]


@given(
    waits=st.lists(st.integers(0, 86_400), min_size=1).map(tuple),
    life=st.integers(30, 600),
    nth=st.integers(1, 10**9),
)
def test_wait_is_one_of_the_list_or_the_life_of_a_code(
    waits: tuple[int, ...], life: int, nth: int
) -> None:
    seconds = Limits(resend_waits=waits, code_life=life).resend_in(nth)
    assert seconds in {*waits, life}
    assert seconds <= life
