"""When to tell an event again, and when to leave a receiver alone.

Two things fail in two ways. One event that its receiver does not take waits longer each time, and
holds up nobody but its own user. A receiver that is away fails every event: then one at a time is
tried, as a probe, until one gets through.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

TYPES = (
    "user.created",
    "user.phone_changed",
    "user.deleted",
    "invite.activated",
    "invite.voided",
    "message.blocked",
)

GIVE_UP_AFTER = timedelta(days=3)
# How long events that were acknowledged or given up can be replayed
KEEP_FINISHED = timedelta(days=30)
# In seconds; after the last one, that long again and again
_WAITS = (5, 30, 2 * 60, 10 * 60, 30 * 60, 3600, 2 * 3600, 4 * 3600, 8 * 3600)
LONGEST_PAUSE = timedelta(seconds=60)
# The longest Retry-After that is honoured
LONGEST_RETRY_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """A receiver that takes nothing."""

    since: datetime
    failures: int
    until: datetime | None
    """When to try it again, with one event; None: only once somebody resumes deliveries."""

    @property
    def is_stopped(self) -> bool:
        return self.until is None


def next_attempt_at(attempts: int, *, first: datetime, now: datetime) -> datetime | None:
    """When to tell an event again whose `attempts`-th try has failed just now; None: never.

    first: when it was tried first. The last try is at the end of the three days.
    """
    end = first + GIVE_UP_AFTER
    if now >= end:
        return None
    return min(now + timedelta(seconds=_WAITS[min(attempts, len(_WAITS)) - 1]), end)


def failed_again(
    breaker: CircuitBreaker | None, *, now: datetime, retry_after: timedelta = timedelta()
) -> CircuitBreaker:
    """The breaker after one more failure, or the beginning of one.

    retry_after: how long the receiver asked to be left alone, which is honoured up to an hour.
    """
    failures = breaker.failures + 1 if breaker else 1
    pause = min(timedelta(seconds=2 ** min(failures - 1, 10)), LONGEST_PAUSE)
    pause = max(pause, min(retry_after, LONGEST_RETRY_AFTER))
    return CircuitBreaker(breaker.since if breaker else now, failures, now + pause)


def stopped(breaker: CircuitBreaker | None, *, now: datetime) -> CircuitBreaker:
    """After a 410: the receiver is gone for good, unless somebody says otherwise."""
    return CircuitBreaker(now, breaker.failures + 1 if breaker else 1, None)


def is_over(breaker: CircuitBreaker, *, now: datetime) -> bool:
    """Whether the receiver was away so long that what waited all the time is given up."""
    return not breaker.is_stopped and now >= breaker.since + GIVE_UP_AFTER
