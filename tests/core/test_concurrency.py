"""How many requests a process works on at once."""

from __future__ import annotations

from itertools import count

import pytest

from referral.core.concurrency import BURST, READS, WRITES, ConcurrencyLimiter

NOW = 1000.0


def fill(limiter: ConcurrencyLimiter, *, is_read: bool = False, now: float = NOW) -> int:
    """How many get in until the first does not."""
    return next(number for number in count() if not limiter.acquire(is_read=is_read, now=now))


def crowded() -> ConcurrencyLimiter:
    """A room into which its crowd has come, and gone."""
    limiter = ConcurrencyLimiter()
    for _ in range(fill(limiter)):
        limiter.release()
    return limiter


def test_a_crowd_is_let_in_once() -> None:
    assert fill(ConcurrencyLimiter()) == WRITES + BURST
    assert fill(crowded()) == WRITES


def test_reads_are_refused_before_the_others() -> None:
    limiter = crowded()
    assert fill(limiter, is_read=True) == READS
    assert fill(limiter) == WRITES - READS
    assert not limiter.acquire(is_read=True, now=NOW)


def test_who_leaves_makes_room_for_one() -> None:
    limiter = crowded()
    fill(limiter)
    limiter.release()
    assert fill(limiter) == 1


def test_what_is_refused_takes_no_room() -> None:
    limiter = crowded()
    fill(limiter)
    in_use = limiter.in_use
    assert not limiter.acquire(is_read=False, now=NOW)
    assert limiter.in_use == in_use


@pytest.mark.parametrize(
    ("seconds", "more"), [(0, 0), (6, BURST // 10), (60, BURST), (6000, BURST)]
)
def test_a_crowd_may_come_again_after_a_while(seconds: float, more: int) -> None:
    assert fill(crowded(), now=NOW + seconds) == pytest.approx(WRITES + more, abs=1)


def test_what_waits_aside_takes_no_room_and_has_it_when_it_is_back() -> None:
    limiter = crowded()
    limiter.acquire(is_read=False, now=NOW)
    with limiter.suspended():
        assert fill(limiter) == WRITES
    assert limiter.in_use == WRITES + 1


def test_what_breaks_aside_is_counted_again() -> None:
    limiter = ConcurrencyLimiter()
    limiter.acquire(is_read=False, now=NOW)
    with pytest.raises(ValueError, match="gateway"), limiter.suspended():
        raise ValueError("gateway")
    assert limiter.in_use == 1
