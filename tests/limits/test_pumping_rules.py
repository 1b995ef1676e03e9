"""The rules against pumped messages: who is refused, for how long, and who never is."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import pumping
from pumping import ATTACKS, RANGES, Attack
from referral.limits.pumping.rules import (
    OF_ADDRESS,
    OF_COUNTRY,
    OF_RANGE,
    WINDOW_HOURS,
    Block,
    Counts,
    Hours,
    Normal,
    country,
    is_everywhere,
    judge,
    learn,
    part,
)

NOW = 500_000.25
HOUR = int(NOW)

TALLIES = st.builds(Counts, st.integers(0, 40), st.integers(0, 25))
UNUSED = st.builds(Counts, st.integers(0, 8))
# Some of them older than what counts
RECENT = st.integers(HOUR - 30, HOUR)
HOURS = st.dictionaries(RECENT, TALLIES, max_size=12)
NORMALS = st.builds(Normal, st.floats(0.3, 0.95), st.floats(0, 5000))
MOMENTS = st.floats(NOW, NOW + 0.7)


def judged(
    hours: Hours,
    *ctx: Hours,
    normal: Normal | None = None,
    everywhere: bool = False,
    now: float = NOW,
) -> Block | None:
    """parts: of the range, then of each address."""
    limits = (OF_RANGE, *[OF_ADDRESS] * len(ctx))
    segments = [
        part(limit, f"{limit} {number}", each)
        for number, (limit, each) in enumerate(zip(limits, ctx, strict=False))
    ]
    segment = country("QA", hours, normal or Normal())
    return judge(segment, segments, everywhere=everywhere, now=now)


def limit_of(block: Block | None) -> str | None:
    return block.segment.limit if block is not None else None


@given(hours=st.dictionaries(RECENT, UNUSED), now=MOMENTS, normal=NORMALS)
def test_small_numbers_are_never_refused(
    hours: dict[int, Counts], now: float, normal: Normal
) -> None:
    """First users, of a service or a country: eleven messages that nobody used, whenever."""
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
    everywhere=False,
)
@given(hours=HOURS, of_range=HOURS, normal=NORMALS, now=MOMENTS, everywhere=st.booleans())
def test_retry_after_tells_the_truth(
    hours: dict[int, Counts],
    of_range: dict[int, Counts],
    normal: Normal,
    now: float,
    everywhere: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    address = {hour: Counts(counts.sends) for hour, counts in of_range.items()}
    block = judged(hours, of_range, address, normal=normal, now=now, everywhere=everywhere)
    if block is not None:
        assert 1 <= block.seconds <= WINDOW_HOURS * 3600
        then = now + block.seconds / 3600
        assert (
            judged(hours, of_range, address, normal=normal, now=then, everywhere=everywhere) is None
        )


@given(hours=HOURS, normal=NORMALS, now=MOMENTS)
def test_a_country_is_closed_for_at_most_an_hour_and_a_quarter(
    hours: dict[int, Counts], normal: Normal, now: float
) -> None:
    block = judged(hours, normal=normal, now=now)
    assert block is None or block.seconds <= 1.25 * 3600


@given(hours=HOURS, hour=RECENT, normal=NORMALS, now=MOMENTS)
def test_a_send_costs_and_a_sign_in_pays(
    hours: dict[int, Counts], hour: int, normal: Normal, now: float
) -> None:
    debt = country("QA", hours, normal).debt(now)
    counts = hours.get(hour, Counts())
    assert country("QA", {**hours, hour: counts.plus(1, 0)}, normal).debt(now) >= debt
    assert country("QA", {**hours, hour: counts.plus(0, 1)}, normal).debt(now) <= debt


@pytest.mark.parametrize("ratio", [0.70, 0.78, 0.85])
def test_honest_traffic_owes_nothing_however_much_it_is(ratio: float) -> None:
    """Also ten times the normal, and a country that the service has just been opened in."""
    random = Random(1)  # noqa: S311 - the same numbers each time
    for normal in (Normal(), Normal(ratio, 1000)):
        hours: dict[int, Counts] = {}
        for hour in range(HOUR - 23, HOUR + 1):
            for _ in range(400):
                hours[hour] = hours.get(hour, Counts()).plus(1, int(random.random() < ratio))
            assert judged(hours, normal=normal, now=hour + 0.99) is None
            assert judged(hours, normal=normal, now=hour + 0.99, everywhere=True) is None


def test_a_country_is_closed_at_its_allowance() -> None:
    assert judged({HOUR: Counts(50)}) is None
    block = judged({HOUR: Counts(51)})
    assert (limit_of(block), block and block.segment.key) == (OF_COUNTRY, "QA")
    assert judged({HOUR: Counts(100)}, normal=Normal(0.75, 2400)) is None
    assert limit_of(judged({HOUR: Counts(154)}, normal=Normal(0.75, 2400))) == OF_COUNTRY


def test_an_address_and_a_range_are_closed_at_theirs() -> None:
    nothing: Hours = {}
    assert limit_of(judged(nothing, nothing, {HOUR: Counts(24)})) == OF_ADDRESS
    assert limit_of(judged(nothing, {HOUR: Counts(12)}, nothing)) == OF_RANGE
    assert judged(nothing, {HOUR: Counts(11)}, {HOUR: Counts(23)}) is None


def test_a_country_that_owes_half_refuses_addresses_and_ranges_of_the_attack() -> None:
    """Not those that nobody has asked from yet, or two times in vain."""
    suspicious, three, two = {HOUR: Counts(27)}, {HOUR - 9: Counts(3)}, {HOUR: Counts(2)}
    assert limit_of(judged(suspicious, two, three)) == OF_ADDRESS
    assert limit_of(judged(suspicious, three, two)) == OF_RANGE
    assert judged(suspicious, two, two) is None
    assert judged({HOUR: Counts(20)}, three, three) is None


def test_a_closed_country_lets_addresses_pass_from_which_people_signed_in() -> None:
    """One message for each sign-in, so that nobody buys many with one."""
    closed, none = {HOUR: Counts(60)}, {HOUR: Counts()}
    assert judged(closed, none, {HOUR - 5: Counts(2, 2)}) is None
    assert judged(closed, none, {HOUR - 5: Counts(14, 4)}) is not None
    assert judged(closed, none, {HOUR - 5: Counts(2, 1)}) is None
    assert judged(closed, none, {HOUR - 5: Counts(4, 1)}) is not None
    assert judged(closed, none, none) is not None
    assert judged(closed, {HOUR: Counts(2, 2)}, none) is not None


def test_four_countries_worth_leaves_each_its_share() -> None:
    pumped = ({HOUR - 2: Counts(49)}, Normal())
    honest = ({HOUR - 2: Counts(400, 310)}, Normal(0.78, 1200))
    assert not is_everywhere([pumped] * 4, NOW)
    assert is_everywhere([pumped] * 6, NOW)
    assert not is_everywhere([({HOUR - 2: Counts(5000)}, Normal()), honest], NOW)
    new = {HOUR: Counts(1)}
    assert judged(new, everywhere=True) is None
    assert limit_of(judged({HOUR: Counts(2)}, everywhere=True)) == OF_COUNTRY
    assert judged(honest[0], normal=honest[1], everywhere=True) is None


def test_an_ipv6_56_may_owe_four_times_as_much() -> None:
    hours = {HOUR: Counts(40)}
    segment = country("QA", {}, Normal())
    assert judge(segment, [part(OF_ADDRESS, "56", hours, 4)], everywhere=False, now=NOW) is None
    assert judge(segment, [part(OF_ADDRESS, "64", hours, 1)], everywhere=False, now=NOW) is not None


def test_pumped_days_do_not_become_normal() -> None:
    usual, pumped = Counts(200, 150), Counts(600, 150)
    assert learn([usual] * 8 + [pumped] * 6).ratio == pytest.approx(0.75)
    assert learn([usual] * 8 + [pumped] * 6).sign_ins == pytest.approx(150)
    assert learn([]) == Normal()
    assert learn([Counts(1, 0)]).ratio == pytest.approx(30 / 51)
    assert learn([Counts(400, 1)] * 14).ratio == pytest.approx(0.3)


# The simulation, whose table docs/cost-guard.md has


def attack(name: str, **more: object) -> Attack:
    found = next(each for each in ATTACKS if each.name == name)
    return replace(found, **more)  # type: ignore[arg-type]


def test_without_an_attack_nobody_is_refused() -> None:
    assert pumping.simulate(ATTACKS[0]).refused.total() == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_an_attack_on_a_range_costs_little_and_its_country_hardly_feels_it(seed: int) -> None:
    outcome = pumping.simulate(attack("2,000 addresses, the largest country", every=20), seed=seed)
    assert outcome.unguarded > 4000
    assert outcome.sent <= 130
    assert outcome.refused["RU"] <= outcome.begun["RU"] / 100
    assert outcome.refused.total() == outcome.refused["RU"]


def test_an_attack_on_a_whole_country_is_felt_there_alone() -> None:
    """By fewer than half of the people there, and not for long after it."""
    name = "2,000 addresses, the largest country"
    outcome = pumping.simulate(attack(name, every=20, ranges=RANGES))
    assert outcome.sent <= 600
    assert outcome.refused["RU"] <= outcome.begun["RU"] / 2
    assert outcome.refused.total() == outcome.refused["RU"]


def test_an_attack_on_many_countries_gets_little_more_than_one_on_four() -> None:
    outcome = pumping.simulate(attack("40 new countries", every=20))
    assert outcome.sent <= 350
    assert outcome.refused.total() == 0


@pytest.mark.long
def test_the_table_of_the_document_is_what_the_simulation_gives() -> None:
    assert pumping.table() in pumping.DOCUMENT.read_text()


def test_a_machine_whose_clock_is_in_the_next_hour_breaks_nothing() -> None:
    """What it counted is there already while here the hour has not ended."""
    segment = part(OF_ADDRESS, "a", {HOUR: Counts(9), HOUR + 1: Counts(30)})
    assert 24 < segment.wait_for_share(HOUR + 0.999) <= 25
