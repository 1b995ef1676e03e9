"""Limits for all clients together, which may lag by a few seconds.

A row that every request updates would make requests wait for each other. So each process counts in
memory and every two seconds adds its counts to the database and reads what all processes counted.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from math import ceil

from referral.limits import counters, gcra
from referral.limits.gcra import DAY, HOUR, SECOND, Bucket
from referral.limits.policy import LimitName, Limits
from referral.limits.scope import LimitScope


class GlobalLimits:
    """The failed guesses of the last hour and the sends of the last day."""

    def __init__(self, limits: Limits, key: bytes) -> None:
        """key: the secret from which the keys of the counters are derived."""
        everybody = LimitScope(phone="", address="", known_device=False, key=key)
        self._limits = limits
        self.charges = {
            name: gcra.new_charge(
                name, everybody.counter_key(name, "everybody"), bucket
            ).unconditional()
            for name, bucket in (
                (LimitName.FAILURES_HOUR, Bucket(limits.failures_per_hour, HOUR)),
                (LimitName.SENDS_DAY, Bucket(limits.sends_per_day, DAY)),
            )
        }
        self._tats: dict[str, int] = {}
        self._unsaved: Counter[LimitName] = Counter()

    def add(self, name: LimitName, number: int = 1) -> None:
        """Count a failed guess or a send. number: the weight of a send; negative to undo it."""
        self._unsaved[name] += number

    def is_alarmed(self, now: datetime) -> bool:
        """Return whether enough guesses failed to lengthen the codes of all strangers."""
        bucket = self.charges[LimitName.FAILURES_HOUR].bucket
        return self._used(LimitName.FAILURES_HOUR, now) >= bucket.size

    def wait_for_sends(self, now: datetime, *, is_exempt: bool, weight: int = 1) -> int:
        """Return seconds until a send fits in the day. The last fifth is for exempt devices.

        weight: that of the message. One that weighs more than the whole day fits if nothing else
        was sent.
        """
        bucket = self.charges[LimitName.SENDS_DAY].bucket
        reserved = 0 if is_exempt else self._limits.sends_reserved
        fits_below = max(bucket.size - reserved - weight, 0)
        excess = self._used(LimitName.SENDS_DAY, now) - fits_below
        return ceil(excess * bucket.increment / SECOND) if excess > 0 else 0

    async def save(self, now: datetime) -> None:
        """Add this process's counts to the database, and read those of all processes."""
        at = gcra.microseconds(now)
        for name in list(self._unsaved):
            number = self._unsaved.pop(name)
            try:
                charged = await counters.charge([self.charges[name].times(number)], now=at)
            except BaseException:
                self._unsaved[name] += number
                raise
            # What is saved counts on, even if the next statement fails
            self._tats |= charged or {}
        self._tats = await counters.read(charge.key for charge in self.charges.values())

    def _used(self, name: LimitName, now: datetime) -> int:
        charge = self.charges[name]
        tat = self._tats.get(charge.key, 0)
        return self._unsaved[name] + gcra.used(charge.bucket, tat, gcra.microseconds(now))
