"""The arithmetic of buckets: what is let through, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from referral.limits.gcra import DAY, HOUR, MONTH, SECOND, Bucket, Charge, charge, taken
from referral.limits.gcra import microseconds as moment_of

NOW = moment_of(datetime(2026, 1, 1, tzinfo=UTC))
# The largest number that both databases keep
MOST = 2**63 - 1

BUCKETS = st.builds(Bucket, st.integers(1, 10**9), st.integers(1, MONTH))
SMALL = st.builds(Bucket, st.integers(1, 20), st.integers(1, DAY))


def tried(each: Charge, moment: int, now: int) -> int | None:
    """The moment after a charge, None where it is refused."""
    return None if each.is_full(moment, now) else max(moment, now) + each.token


def filled(each: Charge, moment: int, now: int) -> int:
    """The moment once nothing more is let through."""
    while (charged := tried(each, moment, now)) is not None:
        moment = charged
    return moment


@given(bucket=SMALL)
def test_an_untouched_bucket_lets_exactly_its_size_through(bucket: Bucket) -> None:
    each, moment = charge("limit", "key", bucket), 0
    for number in range(bucket.size):
        assert taken(bucket, moment, NOW) == number
        charged = tried(each, moment, NOW)
        assert charged is not None
        moment = charged
    assert tried(each, moment, NOW) is None
    assert taken(bucket, moment, NOW) == bucket.size


@given(bucket=SMALL, data=st.data())
def test_no_window_lets_more_through_than_size_and_refill(
    bucket: Bucket, data: st.DataObject
) -> None:
    """Whenever the calls come: in any stretch of time no more than the size and what refills."""
    gaps = st.integers(0, bucket.window * SECOND // 2)
    each, moment, now = charge("limit", "key", bucket), 0, NOW
    let_through: list[int] = []
    for gap in data.draw(st.lists(gaps, max_size=60)):
        now += gap
        charged = tried(each, moment, now)
        if charged is not None:
            moment = charged
            let_through.append(now)
    for first, start in enumerate(let_through):
        for number, end in enumerate(let_through[first:], 1):
            assert number <= bucket.size + (end - start) // bucket.token


@given(bucket=SMALL)
def test_the_worst_window_holds_twice_the_size(bucket: Bucket) -> None:
    """Emptied at its start, and each refilled token taken at once."""
    each = charge("limit", "key", bucket)
    moment = filled(each, 0, NOW)
    for number in range(1, bucket.size + 1):
        now = NOW + number * bucket.token
        assert now <= NOW + bucket.window * SECOND
        charged = tried(each, moment, now)
        assert charged is not None
        assert tried(each, charged, now) is None
        moment = charged


@given(bucket=BUCKETS, ahead=st.integers(0, 2 * MONTH * SECOND))
def test_a_refusal_says_exactly_when_it_works(bucket: Bucket, ahead: int) -> None:
    """Allowed once the token is back, refused a microsecond earlier, and told in whole seconds."""
    each, moment = charge("limit", "key", bucket), NOW + ahead
    opens = moment + each.token - bucket.room
    assert each.is_full(moment, opens - 1)
    assert not each.is_full(moment, opens)
    if each.is_full(moment, NOW):
        seconds = each.retry_after(moment, NOW)
        assert seconds >= 1
        assert not each.is_full(moment, NOW + seconds * SECOND)
        assert seconds == 1 or each.is_full(moment, NOW + (seconds - 1) * SECOND)


@given(bucket=BUCKETS, ahead=st.integers(0, MONTH * SECOND))
def test_giving_back_undoes_a_charge(bucket: Bucket, ahead: int) -> None:
    each, moment = charge("limit", "key", bucket), NOW + ahead
    charged = tried(each, moment, NOW)
    if charged is not None:
        assert charged - each.token == moment
        assert taken(bucket, charged, NOW) == taken(bucket, moment, NOW) + 1


@given(bucket=BUCKETS, ahead=st.integers(0, MONTH * SECOND), later=st.integers(0, MONTH * SECOND))
def test_a_bucket_only_refills_with_time(bucket: Bucket, ahead: int, later: int) -> None:
    moment = NOW + ahead
    assert 0 <= taken(bucket, moment, NOW + later) <= taken(bucket, moment, NOW)
    assert taken(bucket, moment, moment) == 0


@given(bucket=BUCKETS)
def test_a_charge_stops_at_the_bucket_itself(bucket: Bucket) -> None:
    each = charge("limit", "key", bucket)
    assert (each.room, each.cap) == (bucket.room, bucket.room)
    assert not each.is_full(NOW + bucket.room - each.token, NOW)
    assert each.is_full(NOW + bucket.room - each.token + 1, NOW)


@given(bucket=BUCKETS, ahead=st.integers(0, 10**18))
def test_no_room_given_means_never_refused(bucket: Bucket, ahead: int) -> None:
    each = Charge(
        name="limit", key="key", token=bucket.token, room=None, cap=bucket.room, bucket=bucket
    )
    assert not each.is_full(NOW + ahead, NOW)
    assert each.retry_after(NOW + ahead, NOW) == 1


@given(bucket=BUCKETS, number=st.integers(1, 1000))
def test_many_at_once_are_as_many_one_by_one(bucket: Bucket, number: int) -> None:
    each = charge("limit", "key", bucket)
    assert each.times(number).token == number * each.token
    assert (each.times(number).room, each.times(number).cap) == (each.room, each.cap)


@given(size=st.integers(1, 10**9), window=st.sampled_from([1, HOUR, DAY, MONTH]))
def test_huge_sizes_stay_within_63_bits(size: int, window: int) -> None:
    """A bucket larger than its microseconds is one of a microsecond a token."""
    bucket = Bucket(size, window)
    assert bucket.token >= 1
    # Two full buckets ahead is the furthest that any charge goes
    assert NOW + 2 * bucket.room + bucket.token <= MOST


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - Hypothesis adds the zone
def test_moments_are_whole_microseconds(at: datetime) -> None:
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    assert moment_of(at) == since // timedelta(microseconds=1)
