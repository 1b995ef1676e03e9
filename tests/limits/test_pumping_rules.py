"""The rules against pumping: what is refused, for how long, and what never is."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from referral.limits.policy import LimitName
from referral.limits.pumping.rules import (
    WINDOW_HOURS,
    Block,
    Counts,
    Hours,
    Normal,
    country,
    is_worldwide,
    judge,
    learn,
    part,
)

COUNTRY = LimitName.COST_GUARD_COUNTRY
RANGE, ADDRESS = LimitName.COST_GUARD_RANGE, LimitName.COST_GUARD_ADDRESS

NOW = 500_000.25
HOUR = int(NOW)

COUNTS = st.builds(Counts, st.integers(0, 40), st.integers(0, 25))
UNUSED = st.builds(Counts, st.integers(0, 8))
# Some of these hours are older than the window
RECENT = st.integers(HOUR - 30, HOUR)
HOURS = st.dictionaries(RECENT, COUNTS, max_size=12)
NORMALS = st.builds(Normal, st.floats(0.3, 0.95), st.floats(0, 5000))
TIMES = st.floats(NOW, NOW + 0.7)


def judged(
    hours: Hours,
    *parts: Hours,
    normal: Normal | None = None,
    worldwide: bool = False,
    now: float = NOW,
    weight: int = 1,
) -> Block | None:
    """Judge a message. parts: the hours of the range, then of each address."""
    limits = (RANGE, *[ADDRESS] * len(parts))
    segments = [
        part(limit, f"{limit} {number}", each)
        for number, (limit, each) in enumerate(zip(limits, parts, strict=False))
    ]
    segment = country("QA", hours, normal or Normal())
    return judge(segment, segments, worldwide=worldwide, now=now, weight=weight)


def limit_of(block: Block | None) -> str | None:
    return block.segment.limit if block is not None else None


@given(hours=st.dictionaries(RECENT, UNUSED), now=TIMES, normal=NORMALS)
def test_small_numbers_are_never_refused(
    hours: dict[int, Counts], now: float, normal: Normal
) -> None:
    """First users of a service or a country: eleven unused messages, at any times."""
    few, left = {}, 11
    for hour, counts in hours.items():
        few[hour] = Counts(min(counts.sends, left))
        left -= few[hour].sends
    assert judged(few, few, few, normal=normal, now=now) is None


@example(
    hours={499993: Counts(16), 499994: Counts(40)},
    of_range={499977: Counts(3)},
    normal=Normal(0.5),
    now=500000.5,
    worldwide=False,
    weight=1,
)
@given(
    hours=HOURS,
    of_range=HOURS,
    normal=NORMALS,
    now=TIMES,
    worldwide=st.booleans(),
    weight=st.integers(1, 100),
)
def test_message_passes_after_the_seconds_of_a_block(
    hours: dict[int, Counts],
    of_range: dict[int, Counts],
    normal: Normal,
    now: float,
    worldwide: bool,  # noqa: FBT001 - drawn by Hypothesis
    weight: int,
) -> None:
    address = {hour: Counts(counts.sends) for hour, counts in of_range.items()}
    judge_at = partial(
        judged, hours, of_range, address, normal=normal, worldwide=worldwide, weight=weight
    )
    block = judge_at(now=now)
    if block is not None:
        assert 1 <= block.seconds <= WINDOW_HOURS * 3600
        assert judge_at(now=now + block.seconds / 3600) is None


@given(hours=HOURS, normal=NORMALS, now=TIMES)
def test_country_is_closed_for_at_most_75_minutes(
    hours: dict[int, Counts], normal: Normal, now: float
) -> None:
    block = judged(hours, normal=normal, now=now)
    assert block is None or block.seconds <= 1.25 * 3600


@given(hours=HOURS, hour=RECENT, normal=NORMALS, now=TIMES)
def test_sends_add_debt_and_sign_ins_take_it_off(
    hours: dict[int, Counts], hour: int, normal: Normal, now: float
) -> None:
    debt = country("QA", hours, normal).debt(now)
    counts = hours.get(hour, Counts())
    assert country("QA", {**hours, hour: counts.plus(1, 0)}, normal).debt(now) >= debt
    assert country("QA", {**hours, hour: counts.plus(0, 1)}, normal).debt(now) <= debt


@pytest.mark.parametrize("ratio", [0.70, 0.78, 0.85])
def test_honest_traffic_of_any_size_is_not_refused(ratio: float) -> None:
    """Also ten times the normal, and in a country without any history."""
    random = Random(1)  # noqa: S311 - reproducible
    for normal in (Normal(), Normal(ratio, 1000)):
        hours: dict[int, Counts] = {}
        for hour in range(HOUR - 23, HOUR + 1):
            for _ in range(400):
                hours[hour] = hours.get(hour, Counts()).plus(1, int(random.random() < ratio))
            assert judged(hours, normal=normal, now=hour + 0.99) is None
            assert judged(hours, normal=normal, now=hour + 0.99, worldwide=True) is None


def test_country_is_closed_at_its_allowance() -> None:
    assert judged({HOUR: Counts(50)}) is None
    block = judged({HOUR: Counts(51)})
    assert (limit_of(block), block and block.segment.key) == (COUNTRY, "QA")
    assert judged({HOUR: Counts(100)}, normal=Normal(0.75, 2400)) is None
    assert limit_of(judged({HOUR: Counts(154)}, normal=Normal(0.75, 2400))) == COUNTRY


def test_address_and_range_are_closed_at_theirs() -> None:
    nothing: Hours = {}
    assert limit_of(judged(nothing, nothing, {HOUR: Counts(24)})) == ADDRESS
    assert limit_of(judged(nothing, {HOUR: Counts(12)}, nothing)) == RANGE
    assert judged(nothing, {HOUR: Counts(11)}, {HOUR: Counts(23)}) is None


def test_country_with_half_its_debt_refuses_suspicious_parts() -> None:
    """Not addresses and ranges with fewer than three unused messages."""
    suspicious, three, two = {HOUR: Counts(27)}, {HOUR - 9: Counts(3)}, {HOUR: Counts(2)}
    assert limit_of(judged(suspicious, two, three)) == ADDRESS
    assert limit_of(judged(suspicious, three, two)) == RANGE
    assert judged(suspicious, two, two) is None
    assert judged({HOUR: Counts(20)}, three, three) is None


def test_closed_country_admits_addresses_with_sign_ins() -> None:
    """One message for each sign-in, so one sign-in does not pay for many."""
    closed, none = {HOUR: Counts(60)}, {HOUR: Counts()}
    assert judged(closed, none, {HOUR - 5: Counts(2, 2)}) is None
    assert judged(closed, none, {HOUR - 5: Counts(14, 4)}) is not None
    assert judged(closed, none, {HOUR - 5: Counts(2, 1)}) is None
    assert judged(closed, none, {HOUR - 5: Counts(4, 1)}) is not None
    assert judged(closed, none, none) is not None
    assert judged(closed, {HOUR: Counts(2, 2)}, none) is not None


def test_call_from_an_address_with_sign_ins_passes_without_debt() -> None:
    """It weighs more than the share of any address, so otherwise no call would ever pass."""
    closed, none = {HOUR: Counts(60)}, {HOUR: Counts()}
    assert judged(closed, none, {HOUR - 5: Counts(2, 2)}, weight=5) is None
    assert judged(closed, none, {HOUR - 5: Counts(5, 5)}, weight=5) is None
    assert judged(closed, none, {HOUR - 5: Counts(4, 1)}, weight=5) is not None
    assert judged(closed, none, none, weight=5) is not None


def test_debt_worth_four_countries_leaves_each_its_share() -> None:
    pumped = ({HOUR - 2: Counts(49)}, Normal())
    honest = ({HOUR - 2: Counts(400, 310)}, Normal(0.78, 1200))
    assert not is_worldwide([pumped] * 4, NOW)
    assert is_worldwide([pumped] * 6, NOW)
    assert not is_worldwide([({HOUR - 2: Counts(5000)}, Normal()), honest], NOW)
    new = {HOUR: Counts(1)}
    assert judged(new, worldwide=True) is None
    assert limit_of(judged({HOUR: Counts(2)}, worldwide=True)) == COUNTRY
    assert judged(honest[0], normal=honest[1], worldwide=True) is None


def test_ipv6_56_has_four_times_the_allowance() -> None:
    hours = {HOUR: Counts(40)}
    segment = country("QA", {}, Normal())
    assert judge(segment, [part(ADDRESS, "56", hours, 4)], worldwide=False, now=NOW) is None
    assert judge(segment, [part(ADDRESS, "64", hours, 1)], worldwide=False, now=NOW) is not None


def test_pumped_days_do_not_become_normal() -> None:
    usual, pumped = Counts(200, 150), Counts(600, 150)
    assert learn([usual] * 8 + [pumped] * 6).ratio == pytest.approx(0.75)
    assert learn([usual] * 8 + [pumped] * 6).sign_ins == pytest.approx(150)
    assert learn([]) == Normal()
    assert learn([Counts(1, 0)]).ratio == pytest.approx(30 / 51)
    assert learn([Counts(400, 1)] * 14).ratio == pytest.approx(0.3)


def test_counts_from_the_next_hour_break_nothing() -> None:
    """Another machine, whose clock is ahead, counts in an hour that has not begun here."""
    segment = part(ADDRESS, "a", {HOUR: Counts(9), HOUR + 1: Counts(30)})
    assert 24 < segment.wait_for_share(HOUR + 0.999, 1) <= 25
