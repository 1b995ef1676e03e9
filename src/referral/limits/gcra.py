"""Counting with one number: buckets that refill (GCRA).

A bucket holds `size` tokens and refills over `window` seconds. All that is kept of it is the moment
at which it will be full again, the *theoretical arrival time*: an empty bucket is full again after
`window`, a full one is full now, and a row that says "in the past" is as good as none. Charging a
token moves the moment by `window / size`; giving it back moves it back. The worst window holds a
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
    def token(self) -> int:
        """What one token moves the moment by, microseconds."""
        return max(self.window * SECOND // self.size, 1)

    @property
    def room(self) -> int:
        """How far ahead of now the moment may lie, microseconds."""
        return self.token * self.size


class Charge(Struct, frozen=True, kw_only=True):
    """One token from the bucket under a key.

    name: the limit's, for people. room: refused where the moment would lie further ahead than this
    many microseconds; None never refuses. cap: it is never moved further ahead than this.
    """

    name: str
    key: str
    token: int
    room: int | None
    cap: int
    bucket: Bucket

    @property
    def limit(self) -> Limit:
        return Limit(self.name, self.bucket.size, self.bucket.window)

    def times(self, number: int) -> Charge:
        """So many of it at once, where it is never refused."""
        return replace(self, token=self.token * number)

    def is_full(self, moment: int, now: int) -> bool:
        """Whether the bucket has no token left for this charge."""
        return self.room is not None and max(moment, now) + self.token > now + self.room

    def retry_after(self, moment: int, now: int) -> int:
        """Seconds until it has one, at least 1."""
        if self.room is None:
            return 1
        return max(ceil((moment + self.token - self.room - now) / SECOND), 1)


def charge(name: str, key: str, bucket: Bucket) -> Charge:
    """A charge that is refused where the bucket is empty."""
    token = bucket.token
    room = token * bucket.size
    return Charge(name=name, key=key, token=token, room=room, cap=room, bucket=bucket)


def tally(name: str, key: str, bucket: Bucket) -> Charge:
    """A charge that only counts, as far as the bucket is deep."""
    return replace(charge(name, key, bucket), room=None)


def taken(bucket: Bucket, moment: int, now: int) -> int:
    """How many tokens are missing from a bucket."""
    return ceil(max(moment - now, 0) / bucket.token)


def microseconds(at: datetime) -> int:
    """The moment as buckets count it."""
    return round(at.timestamp() * SECOND)
