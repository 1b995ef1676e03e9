"""The arithmetic of buckets: what is let through, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from referral.limits.gcra import DAY, HOUR, MONTH, SECOND, Bucket, Charge, charge, used
from referral.limits.gcra import microseconds as moment_of

NOW = moment_of(datetime(2026, 1, 1, tzinfo=UTC))
# The largest number that both databases keep
MOST = 2**63 - 1

BUCKETS = st.builds(Bucket, st.integers(1, 10**9), st.integers(1, MONTH))
SMALL = st.builds(Bucket, st.integers(1, 20), st.integers(1, DAY))


def tried(each: Charge, tat: int, now: int) -> int | None:
    """The tat after a charge, None where it is refused."""
    return None if each.is_exhausted(tat, now) else max(tat, now) + each.increment


def filled(each: Charge, tat: int, now: int) -> int:
    """The tat once nothing more is let through."""
    while (charged := tried(each, tat, now)) is not None:
        tat = charged
    return tat


@given(bucket=SMALL)
def test_an_untouched_bucket_lets_exactly_its_size_through(bucket: Bucket) -> None:
    each, tat = charge("limit", "key", bucket), 0
    for number in range(bucket.size):
        assert used(bucket, tat, NOW) == number
        charged = tried(each, tat, NOW)
        assert charged is not None
        tat = charged
    assert tried(each, tat, NOW) is None
    assert used(bucket, tat, NOW) == bucket.size


@given(bucket=SMALL, data=st.data())
def test_no_window_lets_more_through_than_size_and_refill(
    bucket: Bucket, data: st.DataObject
) -> None:
    """Whenever the calls come: in any stretch of time no more than the size and what refills."""
    gaps = st.integers(0, bucket.window * SECOND // 2)
    each, tat, now = charge("limit", "key", bucket), 0, NOW
    let_through: list[int] = []
    for gap in data.draw(st.lists(gaps, max_size=60)):
        now += gap
        charged = tried(each, tat, now)
        if charged is not None:
            tat = charged
            let_through.append(now)
    for first, start in enumerate(let_through):
        for number, end in enumerate(let_through[first:], 1):
            assert number <= bucket.size + (end - start) // bucket.increment


@given(bucket=SMALL)
def test_the_worst_window_holds_twice_the_size(bucket: Bucket) -> None:
    """Emptied at its start, and each refilled increment taken at once."""
    each = charge("limit", "key", bucket)
    tat = filled(each, 0, NOW)
    for number in range(1, bucket.size + 1):
        now = NOW + number * bucket.increment
        assert now <= NOW + bucket.window * SECOND
        charged = tried(each, tat, now)
        assert charged is not None
        assert tried(each, charged, now) is None
        tat = charged


@given(bucket=BUCKETS, ahead=st.integers(0, 2 * MONTH * SECOND))
def test_a_refusal_says_exactly_when_it_works(bucket: Bucket, ahead: int) -> None:
    """Allowed once it has refilled, refused a microsecond earlier, told in whole seconds."""
    each, tat = charge("limit", "key", bucket), NOW + ahead
    opens = tat + each.increment - bucket.tolerance
    assert each.is_exhausted(tat, opens - 1)
    assert not each.is_exhausted(tat, opens)
    if each.is_exhausted(tat, NOW):
        seconds = each.retry_after(tat, NOW)
        assert seconds >= 1
        assert not each.is_exhausted(tat, NOW + seconds * SECOND)
        assert seconds == 1 or each.is_exhausted(tat, NOW + (seconds - 1) * SECOND)


@given(bucket=BUCKETS, ahead=st.integers(0, MONTH * SECOND))
def test_giving_back_undoes_a_charge(bucket: Bucket, ahead: int) -> None:
    each, tat = charge("limit", "key", bucket), NOW + ahead
    charged = tried(each, tat, NOW)
    if charged is not None:
        assert charged - each.increment == tat
        assert used(bucket, charged, NOW) == used(bucket, tat, NOW) + 1


@given(bucket=BUCKETS, ahead=st.integers(0, MONTH * SECOND), later=st.integers(0, MONTH * SECOND))
def test_a_bucket_only_refills_with_time(bucket: Bucket, ahead: int, later: int) -> None:
    tat = NOW + ahead
    assert 0 <= used(bucket, tat, NOW + later) <= used(bucket, tat, NOW)
    assert used(bucket, tat, tat) == 0


@given(bucket=BUCKETS)
def test_a_charge_stops_at_the_bucket_itself(bucket: Bucket) -> None:
    each = charge("limit", "key", bucket)
    assert (each.tolerance, each.max_tat) == (bucket.tolerance, bucket.tolerance)
    assert not each.is_exhausted(NOW + bucket.tolerance - each.increment, NOW)
    assert each.is_exhausted(NOW + bucket.tolerance - each.increment + 1, NOW)


@given(bucket=BUCKETS, ahead=st.integers(0, 10**18))
def test_no_room_given_means_never_refused(bucket: Bucket, ahead: int) -> None:
    each = Charge(
        name="limit",
        key="key",
        increment=bucket.increment,
        tolerance=None,
        max_tat=bucket.tolerance,
        bucket=bucket,
    )
    assert not each.is_exhausted(NOW + ahead, NOW)
    assert each.retry_after(NOW + ahead, NOW) == 1


@given(bucket=BUCKETS, number=st.integers(1, 1000))
def test_many_at_once_are_as_many_one_by_one(bucket: Bucket, number: int) -> None:
    each = charge("limit", "key", bucket)
    assert each.times(number).increment == number * each.increment
    assert (each.times(number).tolerance, each.times(number).max_tat) == (
        each.tolerance,
        each.max_tat,
    )


@given(size=st.integers(1, 10**9), window=st.sampled_from([1, HOUR, DAY, MONTH]))
def test_huge_sizes_stay_within_63_bits(size: int, window: int) -> None:
    """A bucket larger than its microseconds is one of a microsecond a increment."""
    bucket = Bucket(size, window)
    assert bucket.increment >= 1
    # Two full buckets ahead is the furthest that any charge goes
    assert NOW + 2 * bucket.tolerance + bucket.increment <= MOST


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - Hypothesis adds the zone
def test_moments_are_whole_microseconds(at: datetime) -> None:
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    assert moment_of(at) == since // timedelta(microseconds=1)
