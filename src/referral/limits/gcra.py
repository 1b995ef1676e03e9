"""Rate limits that keep one number for each counter: the generic cell rate algorithm (GCRA).

A limit of `size` units in `window` seconds is a bucket that holds `size` units and refills
continuously, by one unit every `window / size` seconds: that time is its *increment*. Instead of
the bucket's level, a counter keeps its *theoretical arrival time* (TAT): when the bucket will be
refilled completely. A charge moves the TAT ahead by the increment, from now if it lies in the past;
a refund moves it back. A charge is refused if it would move the TAT further ahead of now than the
*tolerance*, usually `size` increments: the bucket is then *exhausted*. A TAT in the past means the
same as no counter at all, so such a counter can be deleted.

The busiest window allows twice the size: all that a full bucket holds, and all that refills.

Times are whole microseconds since the epoch. Durations are in microseconds, windows in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import ceil

from msgspec import Struct
from msgspec.structs import replace

from referral.core.errors import Limit
from referral.limits.policy import LimitName

SECOND = 1_000_000
HOUR, DAY, MONTH = 3600, 86_400, 30 * 86_400


class Bucket(Struct, frozen=True):
    """A limit of `size` units in a window of `window` seconds."""

    size: int
    window: int

    @property
    def increment(self) -> int:
        """How far one unit moves the TAT."""
        return max(self.window * SECOND // self.size, 1)

    @property
    def tolerance(self) -> int:
        """How far ahead of now the TAT of an exhausted bucket lies."""
        return self.increment * self.size


class Charge(Struct, frozen=True, kw_only=True):
    """A charge of one unit to the counter under a key.

    tolerance: how far ahead of now the TAT may lie after the charge, or None if it is never
    refused. max_tat: how far ahead of now the charge moves the TAT at most.
    """

    name: LimitName
    key: str
    increment: int
    tolerance: int | None
    max_tat: int
    bucket: Bucket

    @property
    def limit(self) -> Limit:
        return Limit(self.name, self.bucket.size, self.bucket.window)

    def times(self, number: int) -> Charge:
        """Return a charge of several units. Only for charges that are never refused."""
        return replace(self, increment=self.increment * number)

    def unconditional(self) -> Charge:
        """Return the same charge, never refused."""
        return replace(self, tolerance=None)

    def is_exhausted(self, tat: int, now: int) -> bool:
        """Return whether the bucket has no unit left for this charge."""
        return self.tolerance is not None and max(tat, now) + self.increment > now + self.tolerance

    def retry_after(self, tat: int, now: int) -> int:
        """Return the seconds until the bucket has a unit left, at least 1."""
        if self.tolerance is None:
            return 1
        return max(ceil((tat + self.increment - self.tolerance - now) / SECOND), 1)


def new_charge(name: LimitName, key: str, bucket: Bucket) -> Charge:
    """Build a charge that is refused if the bucket is exhausted."""
    return Charge(
        name=name,
        key=key,
        increment=bucket.increment,
        tolerance=bucket.tolerance,
        max_tat=bucket.tolerance,
        bucket=bucket,
    )


def used(bucket: Bucket, tat: int, now: int) -> int:
    """Return how many units of a bucket are used, rounded up."""
    return ceil(max(tat - now, 0) / bucket.increment)


def first_exhausted(
    charges: Iterable[Charge], tats: Mapping[str, int], *, now: int
) -> Charge | None:
    """Return the first charge that is refused, or None. tats: by key, without absent counters."""
    return next((each for each in charges if each.is_exhausted(tats.get(each.key, 0), now)), None)


def wait(charges: Iterable[Charge], tats: Mapping[str, int], *, now: int) -> int:
    """Return the seconds until none of the charges is refused, 0 if none is."""
    exhausted = [each for each in charges if each.is_exhausted(tats.get(each.key, 0), now)]
    return max((each.retry_after(tats[each.key], now) for each in exhausted), default=0)


def microseconds(at: datetime) -> int:
    """Return a time as microseconds since the epoch."""
    return round(at.timestamp() * SECOND)
