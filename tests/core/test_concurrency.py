"""The limiter of concurrent requests."""

from __future__ import annotations

from itertools import count

import pytest

from referral.core.concurrency import BURST, READS, WRITES, ConcurrencyLimiter

NOW = 1000.0


def fill(limiter: ConcurrencyLimiter, *, is_read: bool = False, now: float = NOW) -> int:
    """Acquire slots until one is refused. Return how many were acquired."""
    return next(number for number in count() if not limiter.acquire(is_read=is_read, now=now))


def without_burst() -> ConcurrencyLimiter:
    """Return a limiter whose burst is used up and whose slots are free again."""
    limiter = ConcurrencyLimiter()
    for _ in range(fill(limiter)):
        limiter.release()
    return limiter


def test_burst_is_admitted_once() -> None:
    assert fill(ConcurrencyLimiter()) == WRITES + BURST
    assert fill(without_burst()) == WRITES


def test_reads_are_refused_before_writes() -> None:
    limiter = without_burst()
    assert fill(limiter, is_read=True) == READS
    assert fill(limiter) == WRITES - READS
    assert not limiter.acquire(is_read=True, now=NOW)


def test_release_frees_one_slot() -> None:
    limiter = without_burst()
    fill(limiter)
    limiter.release()
    assert fill(limiter) == 1


def test_refused_request_takes_no_slot() -> None:
    limiter = without_burst()
    fill(limiter)
    in_use = limiter.in_use
    assert not limiter.acquire(is_read=False, now=NOW)
    assert limiter.in_use == in_use


@pytest.mark.parametrize(
    ("seconds", "more"), [(0, 0), (6, BURST // 10), (60, BURST), (6000, BURST)]
)
def test_burst_refills_over_a_minute(seconds: float, more: int) -> None:
    assert fill(without_burst(), now=NOW + seconds) == pytest.approx(WRITES + more, abs=1)


def test_suspended_request_holds_no_slot_until_it_resumes() -> None:
    limiter = without_burst()
    limiter.acquire(is_read=False, now=NOW)
    with limiter.suspended():
        assert fill(limiter) == WRITES
    assert limiter.in_use == WRITES + 1


def test_suspended_request_that_fails_takes_its_slot_back() -> None:
    limiter = ConcurrencyLimiter()
    limiter.acquire(is_read=False, now=NOW)
    with pytest.raises(ValueError, match="gateway"), limiter.suspended():
        raise ValueError("gateway")
    assert limiter.in_use == 1
