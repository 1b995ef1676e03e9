"""Who is charged what, and how long codes get."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from referral.core.address import networks
from referral.limits import gcra, guess_policy, send_policy
from referral.limits.gcra import HOUR, SECOND, Charge
from referral.limits.guess_policy import LimitScope
from referral.limits.policy import Limits

NOW = 1_767_225_600 * SECOND
KEY = bytes(range(32))
MOST = 2**63 - 1

# The same in every test but where it matters
STRANGER = LimitScope(phone="+79991234567", address="203.0.113.7", known_device=False, key=KEY)
OWNER = LimitScope(phone="+79991234567", address="203.0.113.7", known_device=True, key=KEY)

SUBJECTS = st.builds(
    LimitScope,
    phone=st.from_regex(r"\+7999[0-9]{7}", fullmatch=True),
    address=st.ip_addresses().map(str),
    known_device=st.booleans(),
    key=st.binary(min_size=32, max_size=32),
)
HUGE = st.integers(1, 10**9)
LIMITS = st.builds(
    Limits,
    code_length=st.integers(4, 8),
    guesses_per_challenge=HUGE,
    failures_per_phone_day=HUGE,
    failures_per_phone_month=HUGE,
    failures_per_phone_day_max=HUGE,
    failures_per_address_hour=HUGE,
    sends_per_phone_hour=HUGE,
    sends_per_phone_day=HUGE,
    sends_per_address_hour=HUGE,
    sends_per_day=HUGE,
    resend_waits=st.lists(st.integers(0, 86_400), min_size=1, max_size=5).map(tuple),
)


def guess(limits: Limits, scope: LimitScope, code_length: int = 4) -> dict[str, Charge]:
    """The charges of a guess by their names; the wider network's comes last."""
    charges = [
        *guess_policy.guess(limits, scope, challenge_id="a", code_length=code_length),
        *guess_policy.failure_of_address(limits, scope),
    ]
    return {each.name: each for each in charges}


def failed(limits: Limits, scope: LimitScope, times: int) -> dict[str, int]:
    """The counters of somebody's budgets after so many failures just now."""
    lengthening = {
        "phone-failures-day": limits.failures_per_phone_day,
        "phone-failures-month": limits.failures_per_phone_month,
    }
    charges = guess(limits, scope, 8)
    return {
        charges[name].key: NOW + min(times * charges[name].increment, charges[name].max_tat)
        for name in lengthening
    }


def length(limits: Limits, failures: int, *, alarm: bool = False, of: LimitScope = STRANGER) -> int:
    tats = failed(limits, of, failures)
    return guess_policy.code_length(limits, of, tats, alarm=alarm, now=NOW)


@pytest.mark.parametrize(
    ("failures", "digits"), [(0, 4), (9, 4), (10, 6), (19, 6), (20, 8), (100, 8), (10**6, 8)]
)
def test_codes_get_longer_with_failures(failures: int, digits: int) -> None:
    """10 in a day make two digits more, twice as many four."""
    assert length(Limits(code_length=4, failures_per_phone_month=10**6), failures) == digits


@pytest.mark.parametrize(("failures", "digits"), [(19, 4), (20, 6), (39, 6), (40, 8)])
def test_codes_get_longer_with_the_failures_of_a_month(failures: int, digits: int) -> None:
    assert length(Limits(code_length=4, failures_per_phone_day=10**6), failures) == digits


def test_an_alarm_makes_codes_longer_but_not_those_of_known_devices() -> None:
    limits = Limits(code_length=4)
    assert (length(limits, 0, alarm=True), length(limits, 10, alarm=True)) == (6, 8)
    assert length(limits, 0, alarm=True, of=OWNER) == 4


@given(
    limits=LIMITS,
    scope=SUBJECTS,
    failures=st.lists(st.integers(0, 10**10), min_size=2).map(sorted),
    alarm=st.booleans(),
)
def test_more_failures_never_make_a_code_shorter(
    limits: Limits, scope: LimitScope, failures: list[int], *, alarm: bool
) -> None:
    """Nor longer than 8 digits, nor shorter than it is set."""
    lengths = [length(limits, each, alarm=alarm, of=scope) for each in failures]
    assert all(shorter <= longer for shorter, longer in pairwise(lengths))
    assert all(limits.code_length <= each <= 8 for each in lengths)


@given(limits=LIMITS, scope=SUBJECTS, failures=st.integers(0, 10**10))
def test_a_guess_is_refused_by_a_phones_budgets_exactly_where_its_code_is_too_short(
    limits: Limits, scope: LimitScope, failures: int
) -> None:
    """As long as a code for this phone is by now: let through. Shorter: refused."""
    tats = failed(limits, scope, failures)
    needed = guess_policy.code_length(limits, scope, tats, alarm=False, now=NOW)
    for digits in range(limits.code_length, 9):
        charges = guess(limits, scope, digits)
        full = any(
            charges[name].is_exhausted(tats[charges[name].key], NOW)
            for name in ("phone-failures-day", "phone-failures-month")
        )
        assert full == (digits < needed)


@given(limits=LIMITS, scope=SUBJECTS, digits=st.integers(4, 8))
def test_nothing_overflows_63_bits(limits: Limits, scope: LimitScope, digits: int) -> None:
    """However large the limits: a tat as far ahead as it gets, and one increment more."""
    every = [
        *guess_policy.guess(limits, scope, challenge_id="a", code_length=digits),
        *guess_policy.failure_of_address(limits, scope),
        *send_policy.send(limits, scope, {}, now=NOW),
        *guess_policy.invite_code_try(limits, scope, "user"),
        *guess_policy.invite_code_try(limits, scope, None),
    ]
    for each in every:
        assert 1 <= each.increment <= each.max_tat
        assert each.tolerance is None or each.increment <= each.tolerance
        # What a spent challenge adds, and the longest that a clock may differ
        assert NOW + 2 * each.max_tat + each.increment + 24 * HOUR * SECOND <= MOST


def test_the_guesses_of_a_challenge_do_not_come_back_while_it_lives() -> None:
    """The longest life is 600 s; after three guesses none is back by then."""
    each = guess_policy.challenge(Limits(), STRANGER, "a")
    assert each.bucket.size == 3
    assert each.is_exhausted(NOW + each.bucket.tolerance, NOW + 600 * SECOND)


@given(waits=st.lists(st.just(0), min_size=1, max_size=3).map(tuple), scope=SUBJECTS)
def test_a_wait_of_nothing_is_no_charge(waits: tuple[int, ...], scope: LimitScope) -> None:
    names = [each.name for each in send_policy.send(Limits(resend_waits=waits), scope, {}, now=NOW)]
    assert "phone-resend-wait" not in names
    assert "phone-sends-hour" in names


def test_the_waits_between_sends_grow_and_then_stay() -> None:
    limits, tats, now, waits = Limits(sends_per_phone_hour=10), dict[str, int](), NOW, []
    for _ in range(5):
        charges = send_policy.send(limits, STRANGER, tats, now=now)
        assert guess_policy.first_exhausted(charges, tats, now=now) is None
        for each in charges:
            ahead = max(tats.get(each.key, 0) - now, 0) + each.increment
            tats[each.key] = now + min(ahead, each.max_tat)
        waits.append(send_policy.resend_in(charges, tats, now=now))
        now += waits[-1] * SECOND
        early = send_policy.send(limits, STRANGER, tats, now=now - 1)
        refusal = guess_policy.first_exhausted(early, tats, now=now - 1)
        assert refusal is not None
        assert refusal.name == "phone-resend-wait"
    assert waits == [30, 60, 120, 120, 120]


@given(scope=SUBJECTS, sent=st.integers(0, 5))
def test_the_first_wait_after_a_refused_one_works(scope: LimitScope, sent: int) -> None:
    """After the seconds that a refusal names, the send is let through."""
    limits, tats = Limits(), dict[str, int]()
    for _ in range(sent):
        for each in send_policy.send(limits, scope, tats, now=NOW):
            tats[each.key] = max(tats.get(each.key, 0), NOW) + each.increment
    charges = send_policy.send(limits, scope, tats, now=NOW)
    if guess_policy.first_exhausted(charges, tats, now=NOW) is None:
        assert sent == 0
        return
    later = NOW + guess_policy.retry_after(charges, tats, now=NOW) * SECOND
    again = send_policy.send(limits, scope, tats, now=later)
    assert guess_policy.first_exhausted(again, tats, now=later) is None


def phone_keys(scope: LimitScope) -> set[str]:
    """Every counter of a phone's own, but for the challenge's."""
    charges = [
        *guess_policy.guess(Limits(), scope, challenge_id="a", code_length=4)[1:],
        *send_policy.send(Limits(), scope, {}, now=NOW),
    ]
    return {each.key for each in charges if each.name.startswith("phone-")}


@given(
    phone=st.from_regex(r"\+7999[0-9]{7}", fullmatch=True),
    address=st.ip_addresses().map(str),
    key=st.binary(min_size=32, max_size=32),
)
def test_strangers_and_known_devices_share_no_counter(phone: str, address: str, key: bytes) -> None:
    known = LimitScope(phone=phone, address=address, known_device=True, key=key)
    stranger = LimitScope(phone=phone, address=address, known_device=False, key=key)
    assert len(phone_keys(known)) == len(phone_keys(stranger)) > 0
    assert phone_keys(known).isdisjoint(phone_keys(stranger))


def test_every_limit_phone_address_and_key_has_counters_of_its_own() -> None:
    charges = [
        *guess_policy.guess(Limits(), STRANGER, challenge_id="a", code_length=4),
        *guess_policy.failure_of_address(Limits(), STRANGER),
        *send_policy.send(Limits(), STRANGER, {}, now=NOW),
        *guess_policy.invite_code_try(Limits(), STRANGER, "user"),
        *guess_policy.invite_code_try(Limits(), STRANGER, None),
    ]
    keys = {each.key for each in charges}
    assert len(keys) == len(charges)
    others = [
        LimitScope(phone="+79991234568", address="203.0.113.8", known_device=False, key=KEY),
        LimitScope(phone="+79991234567", address="203.0.113.7", known_device=False, key=KEY[::-1]),
    ]
    for other in others:
        more = [
            *guess_policy.guess(Limits(), other, challenge_id="b", code_length=4),
            *guess_policy.failure_of_address(Limits(), other),
            *send_policy.send(Limits(), other, {}, now=NOW),
            *guess_policy.invite_code_try(Limits(), other, "other user"),
        ]
        assert keys.isdisjoint(each.key for each in more)


@given(scope=SUBJECTS)
def test_a_counters_key_tells_nobody_who_was_counted(scope: LimitScope) -> None:
    for key in phone_keys(scope):
        assert len(key) == 22
        assert scope.phone.removeprefix("+") not in key
    other_key = LimitScope(
        phone=scope.phone,
        address=scope.address,
        known_device=scope.known_device,
        key=bytes(32) if scope.key != bytes(32) else KEY,
    )
    assert phone_keys(scope).isdisjoint(phone_keys(other_key))


@given(address=st.ip_addresses().map(str))
def test_a_known_device_is_charged_nothing_by_address(address: str) -> None:
    known = LimitScope(phone="+79991234567", address=address, known_device=True, key=KEY)
    stranger = LimitScope(phone="+79991234567", address=address, known_device=False, key=KEY)

    def by_address(scope: LimitScope) -> int:
        charges = [
            *guess_policy.guess(Limits(), scope, challenge_id="a", code_length=4),
            *guess_policy.failure_of_address(Limits(), scope),
            *send_policy.send(Limits(), scope, {}, now=NOW),
        ]
        return sum(each.name.startswith("address-") for each in charges)

    assert by_address(known) == 0
    assert by_address(replace(known, as_stranger=True)) == by_address(stranger)
    assert by_address(stranger) == 2 * len(networks(address))


def test_ipv6_counts_as_its_64_its_56_and_its_48() -> None:
    """With once, four and sixteen times the limit."""
    one = LimitScope(phone="+79991234567", address="2001:db8:0:1::1", known_device=False, key=KEY)
    charges = send_policy.address_sends(Limits(), one)
    assert [each.bucket.size for each in charges] == [30, 120, 480]
    assert {each.bucket.window for each in charges} == {HOUR}
    neighbours = {
        "2001:db8:0:1:ffff::9": [True, True, True],
        "2001:db8:0:2::1": [False, True, True],
        "2001:db8:0:100::1": [False, False, True],
        "2001:db8:1:1::1": [False, False, False],
    }
    for address, shared in neighbours.items():
        other = LimitScope(phone="+79991234567", address=address, known_device=False, key=KEY)
        more = send_policy.address_sends(Limits(), other)
        assert [a.key == b.key for a, b in zip(charges, more, strict=True)] == shared


@given(st.ip_addresses())
def test_an_address_lies_in_its_networks(address: IPv4Address | IPv6Address) -> None:
    found = networks(str(address))
    if isinstance(address, IPv4Address):
        assert [(ip_address(network), times) for network, times in found] == [(address, 1)]
    else:
        nets = [IPv6Network(network) for network, _ in found]
        assert [net.prefixlen for net in nets] == [64, 56, 48]
        assert all(address in net for net in nets)
        assert [times for _, times in found] == [1, 4, 16]


def test_what_is_no_address_counts_as_itself() -> None:
    assert networks("unknown") == [("unknown", 1)]


def test_a_charge_of_a_full_bucket_is_the_one_that_is_told() -> None:
    charges = send_policy.send(Limits(), STRANGER, {}, now=NOW)
    assert guess_policy.first_exhausted(charges, {}, now=NOW) is None
    assert guess_policy.retry_after(charges, {}, now=NOW) == 1
    last = charges[-1]
    tats = {last.key: NOW + gcra.Bucket(30, HOUR).tolerance}
    assert guess_policy.first_exhausted(charges, tats, now=NOW) == last
    assert guess_policy.retry_after(charges, tats, now=NOW) == HOUR // 30
