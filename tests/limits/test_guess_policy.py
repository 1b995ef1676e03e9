"""What guesses and sends are charged to, and how long codes get."""

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
from referral.limits.policy import LimitName, Limits
from referral.limits.scope import LimitScope

NOW = 1_767_225_600 * SECOND
KEY = bytes(range(32))
# The largest integer that both databases store
MAX_INTEGER = 2**63 - 1

STRANGER = LimitScope(phone="+79991234567", address="203.0.113.7", known_device=False, key=KEY)
OWNER = LimitScope(phone="+79991234567", address="203.0.113.7", known_device=True, key=KEY)

SCOPES = st.builds(
    LimitScope,
    phone=st.from_regex(r"\+7999[0-9]{7}", fullmatch=True),
    address=st.ip_addresses().map(str),
    known_device=st.booleans(),
    key=st.binary(min_size=32, max_size=32),
)
LENGTHENING = (LimitName.PHONE_FAILURES_DAY, LimitName.PHONE_FAILURES_MONTH)
PHONE_LIMITS = {
    *LENGTHENING,
    LimitName.PHONE_FAILURES_DAY_MAX,
    LimitName.PHONE_RESEND_WAIT,
    LimitName.PHONE_RESEND_STEPS,
    LimitName.PHONE_SENDS_HOUR,
    LimitName.PHONE_SENDS_DAY,
}
ADDRESS_LIMITS = {LimitName.ADDRESS_FAILURES_HOUR, LimitName.ADDRESS_SENDS_HOUR}
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


def guess(limits: Limits, scope: LimitScope, code_length: int = 4) -> dict[LimitName, Charge]:
    """Return the charges of a guess by their limits, for an address the widest network's."""
    charges = [
        *guess_policy.charges(limits, scope, challenge_id="a", code_length=code_length),
        *guess_policy.address_charges(limits, scope),
    ]
    return {each.name: each for each in charges}


def failed(limits: Limits, scope: LimitScope, times: int) -> dict[str, int]:
    """Return the counters of the budgets that lengthen codes after so many failures just now."""
    charges = [guess(limits, scope, 8)[name] for name in LENGTHENING]
    return {each.key: NOW + min(times * each.increment, each.max_tat) for each in charges}


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


def test_alarm_lengthens_codes_of_strangers_only() -> None:
    limits = Limits(code_length=4)
    assert (length(limits, 0, alarm=True), length(limits, 10, alarm=True)) == (6, 8)
    assert length(limits, 0, alarm=True, of=OWNER) == 4


@given(
    limits=LIMITS,
    scope=SCOPES,
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


@given(limits=LIMITS, scope=SCOPES, failures=st.integers(0, 10**10))
def test_phone_refuses_exactly_guesses_at_too_short_codes(
    limits: Limits, scope: LimitScope, failures: int
) -> None:
    """Codes as long as a new one for this phone pass, shorter ones do not."""
    tats = failed(limits, scope, failures)
    needed = guess_policy.code_length(limits, scope, tats, alarm=False, now=NOW)
    for digits in range(limits.code_length, 9):
        charges = guess(limits, scope, digits)
        exhausted = any(
            charges[name].is_exhausted(tats[charges[name].key], NOW) for name in LENGTHENING
        )
        assert exhausted == (digits < needed)


@given(limits=LIMITS, scope=SCOPES, digits=st.integers(4, 8))
def test_no_limit_exceeds_a_63_bit_integer(limits: Limits, scope: LimitScope, digits: int) -> None:
    """However large the limits are: the furthest TAT, and one increment more."""
    every = [
        *guess_policy.charges(limits, scope, challenge_id="a", code_length=digits),
        *guess_policy.address_charges(limits, scope),
        *send_policy.charges(limits, scope, {}, now=NOW),
        *guess_policy.invite_code_charges(limits, scope, "user"),
        *guess_policy.invite_code_charges(limits, scope, None),
    ]
    for each in every:
        assert 1 <= each.increment <= each.max_tat
        assert each.tolerance is None or each.increment <= each.tolerance
        # More than the mark of a spent challenge and the difference of clocks
        assert NOW + 2 * each.max_tat + each.increment + 24 * HOUR * SECOND <= MAX_INTEGER


def test_guesses_do_not_refill_during_a_challenges_life() -> None:
    """A challenge lives for 600 s at most."""
    each = guess_policy.challenge_charge(Limits(), STRANGER, "a")
    assert each.bucket.size == 3
    assert each.is_exhausted(NOW + each.bucket.tolerance, NOW + 600 * SECOND)


@given(waits=st.lists(st.just(0), min_size=1, max_size=3).map(tuple), scope=SCOPES)
def test_wait_of_zero_is_no_charge(waits: tuple[int, ...], scope: LimitScope) -> None:
    names = [
        each.name for each in send_policy.charges(Limits(resend_waits=waits), scope, {}, now=NOW)
    ]
    assert LimitName.PHONE_RESEND_WAIT not in names
    assert LimitName.PHONE_SENDS_HOUR in names


def test_waits_between_sends_grow_and_then_stay() -> None:
    limits, tats, now, waits = Limits(sends_per_phone_hour=10), dict[str, int](), NOW, []
    for _ in range(5):
        charges = send_policy.charges(limits, STRANGER, tats, now=now)
        assert gcra.first_exhausted(charges, tats, now=now) is None
        for each in charges:
            ahead = max(tats.get(each.key, 0) - now, 0) + each.increment
            tats[each.key] = now + min(ahead, each.max_tat)
        waits.append(send_policy.resend_in(charges, tats, now=now))
        now += waits[-1] * SECOND
        early = send_policy.charges(limits, STRANGER, tats, now=now - 1)
        refusal = gcra.first_exhausted(early, tats, now=now - 1)
        assert refusal is not None
        assert refusal.name == LimitName.PHONE_RESEND_WAIT
    assert waits == [30, 60, 120, 120, 120]


@given(scope=SCOPES, sent=st.integers(0, 5))
def test_send_works_after_the_wait_of_a_refusal(scope: LimitScope, sent: int) -> None:
    limits, tats = Limits(), dict[str, int]()
    for _ in range(sent):
        for each in send_policy.charges(limits, scope, tats, now=NOW):
            tats[each.key] = max(tats.get(each.key, 0), NOW) + each.increment
    charges = send_policy.charges(limits, scope, tats, now=NOW)
    if gcra.first_exhausted(charges, tats, now=NOW) is None:
        assert sent == 0
        return
    later = NOW + gcra.wait(charges, tats, now=NOW) * SECOND
    again = send_policy.charges(limits, scope, tats, now=later)
    assert gcra.first_exhausted(again, tats, now=later) is None


@pytest.mark.parametrize("scope", [STRANGER, OWNER, replace(OWNER, as_stranger=True)])
def test_the_counters_of_a_send_are_read_before(scope: LimitScope) -> None:
    charged = {each.key: each.name for each in send_policy.charges(Limits(), scope, {}, now=NOW)}
    unread = [charged[key] for key in charged.keys() - set(send_policy.keys(Limits(), scope))]
    assert not unread, f"add to keys() in limits/send_policy.py: {unread}"


def test_limits_of_the_phone_delay_its_next_send() -> None:
    for each in send_policy.charges(Limits(), STRANGER, {}, now=NOW):
        if each.tolerance is not None and each.key == STRANGER.phone_key(each.name):
            tats = {each.key: NOW + each.max_tat}
            assert send_policy.resend_in([each], tats, now=NOW), (
                f"add to _NEXT_SEND_LIMITS in limits/send_policy.py: {each.name}"
            )


def phone_keys(scope: LimitScope) -> set[str]:
    """Return the counters of the phone that a stranger's guess and send charge."""
    charges = [
        *guess_policy.charges(Limits(), scope, challenge_id="a", code_length=4)[1:],
        *send_policy.charges(Limits(), scope, {}, now=NOW),
    ]
    return {each.key for each in charges if each.name in PHONE_LIMITS}


@given(
    phone=st.from_regex(r"\+7999[0-9]{7}", fullmatch=True),
    address=st.ip_addresses().map(str),
    key=st.binary(min_size=32, max_size=32),
)
def test_strangers_and_known_devices_share_no_counter(phone: str, address: str, key: bytes) -> None:
    known = LimitScope(phone=phone, address=address, known_device=True, key=key)
    stranger = LimitScope(phone=phone, address=address, known_device=False, key=key)
    assert len(phone_keys(known)) == len(phone_keys(stranger)) == len(PHONE_LIMITS)
    assert phone_keys(known).isdisjoint(phone_keys(stranger))


def test_every_limit_and_scope_has_counters_of_its_own() -> None:
    charges = [
        *guess_policy.charges(Limits(), STRANGER, challenge_id="a", code_length=4),
        *guess_policy.address_charges(Limits(), STRANGER),
        *send_policy.charges(Limits(), STRANGER, {}, now=NOW),
        *guess_policy.invite_code_charges(Limits(), STRANGER, "user"),
        *guess_policy.invite_code_charges(Limits(), STRANGER, None),
    ]
    keys = {each.key for each in charges}
    assert len(keys) == len(charges)
    others = [
        LimitScope(phone="+79991234568", address="203.0.113.8", known_device=False, key=KEY),
        LimitScope(phone="+79991234567", address="203.0.113.7", known_device=False, key=KEY[::-1]),
    ]
    for other in others:
        more = [
            *guess_policy.charges(Limits(), other, challenge_id="b", code_length=4),
            *guess_policy.address_charges(Limits(), other),
            *send_policy.charges(Limits(), other, {}, now=NOW),
            *guess_policy.invite_code_charges(Limits(), other, "other user"),
        ]
        assert keys.isdisjoint(each.key for each in more)


@given(scope=SCOPES)
def test_key_of_a_counter_does_not_reveal_the_phone(scope: LimitScope) -> None:
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
def test_known_device_is_not_charged_by_address(address: str) -> None:
    known = LimitScope(phone="+79991234567", address=address, known_device=True, key=KEY)
    stranger = LimitScope(phone="+79991234567", address=address, known_device=False, key=KEY)

    def by_address(scope: LimitScope) -> int:
        charges = [
            *guess_policy.charges(Limits(), scope, challenge_id="a", code_length=4),
            *guess_policy.address_charges(Limits(), scope),
            *send_policy.charges(Limits(), scope, {}, now=NOW),
        ]
        return sum(each.name in ADDRESS_LIMITS for each in charges)

    assert by_address(known) == 0
    assert by_address(replace(known, as_stranger=True)) == by_address(stranger)
    assert by_address(stranger) == 2 * len(networks(address))


def test_ipv6_is_charged_to_its_64_56_and_48() -> None:
    """With one, four and sixteen times the limit."""
    one = LimitScope(phone="+79991234567", address="2001:db8:0:1::1", known_device=False, key=KEY)
    charges = send_policy.address_charges(Limits(), one)
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
        more = send_policy.address_charges(Limits(), other)
        assert [a.key == b.key for a, b in zip(charges, more, strict=True)] == shared


@given(st.ip_addresses())
def test_address_lies_in_its_networks(address: IPv4Address | IPv6Address) -> None:
    found = networks(str(address))
    if isinstance(address, IPv4Address):
        assert [(ip_address(network), times) for network, times in found] == [(address, 1)]
    else:
        nets = [IPv6Network(network) for network, _ in found]
        assert [net.prefixlen for net in nets] == [64, 56, 48]
        assert all(address in net for net in nets)
        assert [times for _, times in found] == [1, 4, 16]


def test_text_that_is_no_address_counts_as_itself() -> None:
    assert networks("unknown") == [("unknown", 1)]


def test_exhausted_charge_is_the_one_that_is_named() -> None:
    charges = send_policy.charges(Limits(), STRANGER, {}, now=NOW)
    assert gcra.first_exhausted(charges, {}, now=NOW) is None
    assert gcra.wait(charges, {}, now=NOW) == 0
    last = charges[-1]
    tats = {last.key: NOW + gcra.Bucket(30, HOUR).tolerance}
    assert gcra.first_exhausted(charges, tats, now=NOW) == last
    assert gcra.wait(charges, tats, now=NOW) == HOUR // 30
