"""The arithmetic of GCRA: what is let through, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from referral.limits.gcra import (
    DAY,
    HOUR,
    MONTH,
    SECOND,
    Bucket,
    Charge,
    microseconds,
    new_charge,
    used,
)
from referral.limits.policy import LimitName

NOW = microseconds(datetime(2026, 1, 1, tzinfo=UTC))
# The largest integer that both databases store
MAX_INTEGER = 2**63 - 1

BUCKETS = st.builds(Bucket, st.integers(1, 10**9), st.integers(1, MONTH))
SMALL = st.builds(Bucket, st.integers(1, 20), st.integers(1, DAY))


def charged(each: Charge, tat: int, now: int) -> int | None:
    """Return the TAT after a charge, None if it is refused."""
    return None if each.is_exhausted(tat, now) else max(tat, now) + each.increment


def exhausted(each: Charge, tat: int, now: int) -> int:
    """Return the TAT once nothing more is let through."""
    while (after := charged(each, tat, now)) is not None:
        tat = after
    return tat


@given(bucket=SMALL)
def test_unused_bucket_lets_exactly_its_size_through(bucket: Bucket) -> None:
    each, tat = new_charge(LimitName.SENDS_DAY, "key", bucket), 0
    for number in range(bucket.size):
        assert used(bucket, tat, NOW) == number
        after = charged(each, tat, NOW)
        assert after is not None
        tat = after
    assert charged(each, tat, NOW) is None
    assert used(bucket, tat, NOW) == bucket.size


@given(bucket=SMALL, data=st.data())
def test_no_window_exceeds_size_and_refill(bucket: Bucket, data: st.DataObject) -> None:
    """In any stretch of time, whenever the calls come."""
    gaps = st.integers(0, bucket.window * SECOND // 2)
    each, tat, now = new_charge(LimitName.SENDS_DAY, "key", bucket), 0, NOW
    let_through: list[int] = []
    for gap in data.draw(st.lists(gaps, max_size=60)):
        now += gap
        after = charged(each, tat, now)
        if after is not None:
            tat = after
            let_through.append(now)
    for first, start in enumerate(let_through):
        for number, end in enumerate(let_through[first:], 1):
            assert number <= bucket.size + (end - start) // bucket.increment


@given(bucket=SMALL)
def test_worst_window_lets_twice_the_size_through(bucket: Bucket) -> None:
    """The bucket is used up at its start, and each unit as soon as it refills."""
    each = new_charge(LimitName.SENDS_DAY, "key", bucket)
    tat = exhausted(each, 0, NOW)
    for number in range(1, bucket.size + 1):
        now = NOW + number * bucket.increment
        assert now <= NOW + bucket.window * SECOND
        after = charged(each, tat, now)
        assert after is not None
        assert charged(each, after, now) is None
        tat = after


@given(bucket=BUCKETS, ahead=st.integers(0, 2 * MONTH * SECOND))
def test_retry_after_is_exact(bucket: Bucket, ahead: int) -> None:
    """A charge is allowed once the bucket has refilled, and refused a microsecond earlier."""
    each, tat = new_charge(LimitName.SENDS_DAY, "key", bucket), NOW + ahead
    opens = tat + each.increment - bucket.tolerance
    assert each.is_exhausted(tat, opens - 1)
    assert not each.is_exhausted(tat, opens)
    if each.is_exhausted(tat, NOW):
        seconds = each.retry_after(tat, NOW)
        assert seconds >= 1
        assert not each.is_exhausted(tat, NOW + seconds * SECOND)
        assert seconds == 1 or each.is_exhausted(tat, NOW + (seconds - 1) * SECOND)


@given(bucket=BUCKETS, ahead=st.integers(0, MONTH * SECOND))
def test_refund_undoes_a_charge(bucket: Bucket, ahead: int) -> None:
    each, tat = new_charge(LimitName.SENDS_DAY, "key", bucket), NOW + ahead
    after = charged(each, tat, NOW)
    if after is not None:
        assert after - each.increment == tat
        assert used(bucket, after, NOW) == used(bucket, tat, NOW) + 1


@given(bucket=BUCKETS, ahead=st.integers(0, MONTH * SECOND), later=st.integers(0, MONTH * SECOND))
def test_bucket_only_refills_with_time(bucket: Bucket, ahead: int, later: int) -> None:
    tat = NOW + ahead
    assert 0 <= used(bucket, tat, NOW + later) <= used(bucket, tat, NOW)
    assert used(bucket, tat, tat) == 0


@given(bucket=BUCKETS)
def test_charge_is_refused_beyond_the_bucket(bucket: Bucket) -> None:
    each = new_charge(LimitName.SENDS_DAY, "key", bucket)
    assert (each.tolerance, each.max_tat) == (bucket.tolerance, bucket.tolerance)
    assert not each.is_exhausted(NOW + bucket.tolerance - each.increment, NOW)
    assert each.is_exhausted(NOW + bucket.tolerance - each.increment + 1, NOW)


@given(bucket=BUCKETS, ahead=st.integers(0, 10**18))
def test_no_tolerance_means_never_refused(bucket: Bucket, ahead: int) -> None:
    each = new_charge(LimitName.SENDS_DAY, "key", bucket).unconditional()
    assert not each.is_exhausted(NOW + ahead, NOW)
    assert each.retry_after(NOW + ahead, NOW) == 1


@given(bucket=BUCKETS, number=st.integers(1, 1000))
def test_charge_of_several_units_is_that_many_charges(bucket: Bucket, number: int) -> None:
    each = new_charge(LimitName.SENDS_DAY, "key", bucket)
    assert each.times(number).increment == number * each.increment
    assert (each.times(number).tolerance, each.times(number).max_tat) == (
        each.tolerance,
        each.max_tat,
    )


@given(size=st.integers(1, 10**9), window=st.sampled_from([1, HOUR, DAY, MONTH]))
def test_huge_sizes_fit_a_63_bit_integer(size: int, window: int) -> None:
    """A bucket of more units than microseconds has an increment of one microsecond."""
    bucket = Bucket(size, window)
    assert bucket.increment >= 1
    # No charge moves the TAT further than two windows ahead
    assert NOW + 2 * bucket.tolerance + bucket.increment <= MAX_INTEGER


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - Hypothesis adds the zone
def test_times_are_whole_microseconds(at: datetime) -> None:
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    assert microseconds(at) == since // timedelta(microseconds=1)
