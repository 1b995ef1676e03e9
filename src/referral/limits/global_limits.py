"""Totals over everybody, counted aside.

A row that every request updates would make them wait for each other. So each process counts by
itself, and every two seconds adds what it counted to the database and reads where all stand.
"""

from __future__ import annotations

from collections import Counter as Tally
from datetime import datetime
from math import ceil

from referral.limits import counters, gcra
from referral.limits.gcra import DAY, HOUR, SECOND, Bucket
from referral.limits.guess_policy import LimitScope
from referral.limits.policy import Limits

FAILURES, SENDS = "failures-hour", "sends-day"


class GlobalLimits:
    """Failures of the last hour and sends of the last day, a few seconds old."""

    def __init__(self, limits: Limits, key: bytes) -> None:
        """key: derives the counters' keys."""
        everybody = LimitScope(phone="", address="", known_device=False, key=key)
        self._limits = limits
        self.charges = {
            name: gcra.count_only(name, everybody.counter(name, "everybody"), bucket)
            for name, bucket in (
                (FAILURES, Bucket(limits.failures_per_hour, HOUR)),
                (SENDS, Bucket(limits.sends_per_day, DAY)),
            )
        }
        self._tats: dict[str, int] = {}
        self._unsaved: Tally[str] = Tally()

    def add(self, name: str, number: int = 1) -> None:
        """number: -1 takes one back."""
        self._unsaved[name] += number

    def is_alarmed(self, now: datetime) -> bool:
        """Whether so many guesses failed that everybody's codes get longer."""
        bucket = self.charges[FAILURES].bucket
        return self._taken(FAILURES, now) >= bucket.size

    def wait_for_sends(self, now: datetime, *, is_exempt: bool) -> int:
        """Seconds until the day has a send left; its last fifth is for exempt devices."""
        bucket = self.charges[SENDS].bucket
        reserved = 0 if is_exempt else self._limits.sends_reserved
        over = self._taken(SENDS, now) - (bucket.size - reserved) + 1
        return ceil(over * bucket.increment / SECOND) if over > 0 else 0

    async def save(self, now: datetime) -> None:
        """Add what this process counted, and read where all stand."""
        counted, self._unsaved = self._unsaved, Tally()
        at = gcra.microseconds(now)
        try:
            for name, number in counted.items():
                charge = self.charges[name]
                await counters.charge([charge.times(number)], now=at)
            self._tats = await counters.read(charge.key for charge in self.charges.values())
        except BaseException:
            self._unsaved.update(counted)
            raise

    def _taken(self, name: str, now: datetime) -> int:
        charge = self.charges[name]
        tat = self._tats.get(charge.key, 0)
        return self._unsaved[name] + gcra.used(charge.bucket, tat, gcra.microseconds(now))
