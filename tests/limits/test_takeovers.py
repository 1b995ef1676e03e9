"""The bound on what guessing gives an attacker."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.limits import gcra, guess_policy, send_policy
from referral.limits.gcra import DAY, SECOND, Charge
from referral.limits.policy import LimitName, Limits
from referral.limits.scope import LimitScope
from referral.limits.takeovers import takeovers

FOUR_DIGITS = Limits(code_length=4)
PHONE = LimitScope(phone="+79991234567", address="192.0.2.1", known_device=False, key=b"k" * 32)


@pytest.mark.parametrize(
    ("limits", "phones", "days", "expected"),
    [
        (Limits(), 1, 1, 20 / 10**6 + 40 / 10**8),
        (FOUR_DIGITS, 1, 1, 20 / 10**4 + 10 / 10**6 + 30 / 10**8),
    ],
)
def test_one_phone_in_its_worst_day(
    limits: Limits, phones: int, days: int, expected: float
) -> None:
    """Three guesses at each of twice ten sends: 60, of which the first 20 at the shortest codes."""
    assert takeovers(limits, phones=phones, seconds=days * DAY) == pytest.approx(expected)


def test_many_phones_give_three_guesses_for_each_send_of_a_day() -> None:
    """All codes are sent before the first guess, so the alarm lengthens none of them."""
    sprayed = takeovers(FOUR_DIGITS, phones=10_000, seconds=DAY)
    assert sprayed == pytest.approx(3 * (20_000 - 2_000) / 10**4)
    alarmed = replace(FOUR_DIGITS, failures_per_hour=1)
    assert takeovers(alarmed, phones=10_000, seconds=DAY) == sprayed


@given(
    digits=st.sampled_from([4, 6, 8]),
    phones=st.integers(1, 10**6),
    days=st.integers(1, 400),
)
def test_longer_codes_fewer_phones_or_less_time_never_give_more(
    digits: int, phones: int, days: int
) -> None:
    limits = Limits(code_length=digits)
    bound = takeovers(limits, phones=phones, seconds=days * DAY) * (1 - 1e-9)
    assert bound <= takeovers(limits, phones=phones + 1, seconds=days * DAY)
    assert bound <= takeovers(limits, phones=phones, seconds=(days + 1) * DAY)
    if digits > 4:
        shorter = replace(limits, code_length=digits - 2)
        assert bound <= takeovers(shorter, phones=phones, seconds=days * DAY)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limits", [Limits(), FOUR_DIGITS], ids=["6 digits", "4 digits"])
def test_simulated_attack_stays_below_the_bound(limits: Limits, seed: int) -> None:
    """Sends and guesses at random times of 40 days, with the service's own counters."""
    random = Random(seed)  # noqa: S311 - reproducible
    days = 40
    tats: dict[str, int] = {}
    chance = 0.0
    now = 1_700_000_000 * SECOND
    end = now + days * DAY * SECOND
    number = 0
    while now < end:
        number += 1
        charges = send_policy.charges(limits, PHONE, tats, now=now)
        if charged(charges, tats, now):
            length = guess_policy.code_length(limits, PHONE, tats, alarm=False, now=now)
            for _ in range(limits.guesses_per_challenge):
                guess = guess_policy.charges(
                    limits, PHONE, challenge_id=str(number), code_length=length
                )
                if charged(guess, tats, now):
                    chance += 1 / 10**length
        now += random.randint(1, random.choice([60, 3600, 6 * 3600])) * SECOND
        for network in send_policy.address_charges(limits, PHONE):
            tats.pop(network.key, None)
    assert 0 < chance <= takeovers(limits, phones=1, seconds=days * DAY)


def charged(charges: list[Charge], tats: dict[str, int], now: int) -> bool:
    """Charge all, or none if one is exhausted, as the database does."""
    if gcra.first_exhausted(charges, tats, now=now) is not None:
        return False
    for each in charges:
        ahead = max(tats.get(each.key, 0) - now, 0) + each.increment
        tats[each.key] = now + min(ahead, each.max_tat)
    return True


def test_worst_window_gives_twice_the_size() -> None:
    bucket = gcra.Bucket(10, DAY)
    charge = gcra.new_charge(LimitName.SENDS_DAY, "k", bucket)
    tats: dict[str, int] = {}
    let_through = sum(charged([charge], tats, second * 60 * SECOND) for second in range(DAY // 60))
    assert let_through in {19, 20}
