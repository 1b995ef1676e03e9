"""Counting with one number: buckets that refill (GCRA).

A bucket holds `size` increment and refills over `window` seconds. All that is kept of it is the tat
at which it will be full again, the *theoretical arrival time*: an empty bucket is full again after
`window`, a full one is full now, and a row that says "in the past" is as good as none. Charging a
increment moves the tat by `window / size`; giving it back moves it back. The worst window holds a
bucket's size and its refill: twice the size.

Times are whole microseconds since the epoch.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil

from msgspec import Struct
from msgspec.structs import replace

from referral.core.errors import Limit

SECOND = 1_000_000
HOUR, DAY, MONTH = 3600, 86_400, 30 * 86_400


class Bucket(Struct, frozen=True):
    """How many in how many seconds."""

    size: int
    window: int

    @property
    def increment(self) -> int:
        """What one increment moves the tat by, microseconds."""
        return max(self.window * SECOND // self.size, 1)

    @property
    def tolerance(self) -> int:
        """How far ahead of now the tat may lie, microseconds."""
        return self.increment * self.size


class Charge(Struct, frozen=True, kw_only=True):
    """One increment from the bucket under a key.

    name: the limit's, for people. tolerance: refused where the tat would lie further ahead than
    this many microseconds; None never refuses. max_tat: it is never moved further ahead than this.
    """

    name: str
    key: str
    increment: int
    tolerance: int | None
    max_tat: int
    bucket: Bucket

    @property
    def limit(self) -> Limit:
        return Limit(self.name, self.bucket.size, self.bucket.window)

    def times(self, number: int) -> Charge:
        """So many of it at once, where it is never refused."""
        return replace(self, increment=self.increment * number)

    def is_exhausted(self, tat: int, now: int) -> bool:
        """Whether the bucket has no increment left for this charge."""
        return self.tolerance is not None and max(tat, now) + self.increment > now + self.tolerance

    def retry_after(self, tat: int, now: int) -> int:
        """Seconds until it has one, at least 1."""
        if self.tolerance is None:
            return 1
        return max(ceil((tat + self.increment - self.tolerance - now) / SECOND), 1)


def charge(name: str, key: str, bucket: Bucket) -> Charge:
    """A charge that is refused where the bucket is empty."""
    increment = bucket.increment
    tolerance = increment * bucket.size
    return Charge(
        name=name,
        key=key,
        increment=increment,
        tolerance=tolerance,
        max_tat=tolerance,
        bucket=bucket,
    )


def count_only(name: str, key: str, bucket: Bucket) -> Charge:
    """A charge that only counts, as far as the bucket is deep."""
    return replace(charge(name, key, bucket), tolerance=None)


def used(bucket: Bucket, tat: int, now: int) -> int:
    """How many increment are missing from a bucket."""
    return ceil(max(tat - now, 0) / bucket.increment)


def microseconds(at: datetime) -> int:
    """The tat as buckets count it."""
    return round(at.timestamp() * SECOND)
