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
    "sign_in.blocked",
)

TRIED_FOR = timedelta(days=3)
# How long events that were acknowledged or given up can be replayed
KEPT = timedelta(days=30)
# In seconds; after the last one, that long again and again
_WAITS = (5, 30, 2 * 60, 10 * 60, 30 * 60, 3600, 2 * 3600, 4 * 3600, 8 * 3600)
LONGEST_PAUSE = timedelta(seconds=60)
# The longest Retry-After that is honoured
LONGEST_RETRY_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Outage:
    """A receiver that takes nothing."""

    since: datetime
    failures: int
    until: datetime | None
    """When to try it again, with one event; None: only once somebody resumes deliveries."""

    @property
    def is_stopped(self) -> bool:
        return self.until is None


def next_try(tries: int, *, first: datetime, now: datetime) -> datetime | None:
    """When to tell an event again whose `tries`-th try has failed just now; None: never.

    first: when it was tried first. The last try is at the end of the three days.
    """
    end = first + TRIED_FOR
    if now >= end:
        return None
    return min(now + timedelta(seconds=_WAITS[min(tries, len(_WAITS)) - 1]), end)


def failed_again(
    outage: Outage | None, *, now: datetime, retry_after: timedelta = timedelta()
) -> Outage:
    """The outage after one more failure, or the beginning of one.

    retry_after: how long the receiver asked to be left alone, which is honoured up to an hour.
    """
    failures = outage.failures + 1 if outage else 1
    pause = min(timedelta(seconds=2 ** min(failures - 1, 10)), LONGEST_PAUSE)
    pause = max(pause, min(retry_after, LONGEST_RETRY_AFTER))
    return Outage(outage.since if outage else now, failures, now + pause)


def stopped(outage: Outage | None, *, now: datetime) -> Outage:
    """After a 410: the receiver is gone for good, unless somebody says otherwise."""
    return Outage(now, outage.failures + 1 if outage else 1, None)


def is_over(outage: Outage, *, now: datetime) -> bool:
    """Whether the receiver was away so long that what waited all the time is given up."""
    return not outage.is_stopped and now >= outage.since + TRIED_FOR
