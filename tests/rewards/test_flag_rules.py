"""The rules of flags, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.rewards import flags
from referral.rewards.flags import Flag
from referral.storage.models import Activation

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)


@given(st.sets(st.sampled_from(Flag)))
def test_flags_are_stored_sorted_and_read_back(some: set[Flag]) -> None:
    text = flags.text_of(some)
    assert text.split() == sorted(some)
    assert flags.parse(text) == some
    assert len(text) <= Activation._meta.fields_map["flags"].max_length  # type: ignore[attr-defined]  # noqa: SLF001 - of a CharField, and Tortoise's name for it


def test_names_of_the_flags_do_not_change() -> None:
    """They are stored, and clients of the API read them."""
    assert set(Flag) == {"same_address", "same_device", "burst", "neighbours"}


@pytest.mark.parametrize(
    ("phone", "block"),
    [
        ("+79991234567", ("+79991230000", "+79991239999")),
        ("+29012345", ("+29010000", "+29019999")),
    ],
)
def test_a_block_has_10000_numbers(phone: str, block: tuple[str, str]) -> None:
    assert flags.block_of(phone) == block


@pytest.mark.parametrize(
    ("number", "span", "flagged"),
    [
        (5, 5 * SECOND, 0),
        (6, timedelta(hours=1) - TICK, 6),
        (6, timedelta(hours=1), 0),
        (7, timedelta(hours=1), 6),
    ],
)
def test_a_burst_is_more_than_5_in_less_than_an_hour(
    number: int, span: timedelta, flagged: int
) -> None:
    """Those in between are close to the last. An hour is not less than an hour."""
    times = {0: NOW, number - 1: NOW + span}
    times |= {each: NOW + span - (number - each) * TICK for each in range(1, number - 1)}
    found = flags.burst_of(number - 1, times)
    assert found == set(range(number - flagged, number))


@given(st.lists(st.integers(0, 200), max_size=40), st.randoms())
def test_groups_are_whole_in_any_order_of_arrival(minutes: list[int], chance: object) -> None:
    """Flagged one by one with a few neighbours each, or all at the end: the same are flagged."""
    chance.shuffle(minutes)  # type: ignore[attr-defined]  # a Random
    times = {each: NOW + timedelta(minutes=minute) for each, minute in enumerate(minutes)}
    flagged: set[int] = set()
    for newest, at in times.items():
        before = [each for each in range(newest) if times[each] <= at]
        after = [each for each in range(newest) if times[each] > at]
        before.sort(key=lambda each: times[each], reverse=True)
        after.sort(key=lambda each: times[each])
        near = [newest, *before[:5], *after[:5]]
        flagged |= flags.burst_of(newest, {each: times[each] for each in near})
    assert flagged == _in_any_burst(times)


def _in_any_burst(times: dict[int, datetime]) -> set[int]:
    found: set[int] = set()
    for start in times.values():
        group = {each for each, at in times.items() if start <= at < start + timedelta(hours=1)}
        found |= group if len(group) > 5 else set()
    return found
