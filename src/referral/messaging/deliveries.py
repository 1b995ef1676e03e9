"""Deliveries: how many messages were sent, delivered and used, and how soon.

Only sums by country, channel and hour are kept, never a phone. Each process counts in memory, so
that no send waits, and every two seconds adds its counts to the database. An event counts in the
hour in which it happens: a code that was sent at 10:59 and used at 11:01 in two different ones.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from referral import observability
from referral.core.channels import Channel
from referral.core.phone import country as country_of
from referral.messaging import delivery_counts
from referral.messaging.delivery_counts import CountryChannel, DeliveryCounts

KEEP_DAYS = 30

_HOUR_SECONDS = 3600
_NONE = DeliveryCounts()


class Deliveries:
    """The messages that this process has counted and not saved yet."""

    def __init__(self) -> None:
        self._unsaved: dict[tuple[CountryChannel, int], DeliveryCounts] = {}
        self._saving = asyncio.Lock()

    def count_sent(self, phone: str, channel: Channel, at: datetime) -> None:
        """Count a message that a gateway accepted, or may have accepted."""
        segment = CountryChannel(country_of(phone), channel)
        self._add(segment, _hour(at), DeliveryCounts(sent=1))
        observability.message_sent(channel, country=segment.country)

    def count_delivered(self, phone: str, channel: Channel, at: datetime) -> None:
        """Count a message that the provider reports as delivered. Call it once for each message."""
        segment = CountryChannel(country_of(phone), channel)
        self._add(segment, _hour(at), DeliveryCounts(delivered=1))
        observability.message_delivered(channel, country=segment.country)

    def count_used(self, phone: str, channel: Channel, at: datetime, *, seconds: float) -> None:
        """Count a message whose code was entered. seconds: since it was sent."""
        segment = CountryChannel(country_of(phone), channel)
        self._add(segment, _hour(at), DeliveryCounts(used=1, seconds=seconds))
        observability.message_used(channel, country=segment.country, seconds=seconds)

    async def save(self) -> None:
        """Add this process's counts to the database, after a save that is running.

        If that fails, the next save adds them. Only if the connection is lost while the transaction
        commits may they be counted twice.
        """
        async with self._saving:
            counted, self._unsaved = self._unsaved, {}
            if not counted:
                return
            try:
                await delivery_counts.add(counted)
            except BaseException:
                for (segment, hour), counts in counted.items():
                    self._add(segment, hour, counts)
                raise

    def _add(self, segment: CountryChannel, hour: int, counts: DeliveryCounts) -> None:
        key = (segment, hour)
        self._unsaved[key] = self._unsaved.get(key, _NONE).plus(counts)


@dataclass(frozen=True, slots=True)
class Figures:
    """The messages to one country by one channel in some hours.

    seconds: the sum of the times from the send until the code was used.
    """

    country: str
    channel: Channel
    sent: int
    delivered: int
    used: int
    seconds: float

    @property
    def used_percent(self) -> int | None:
        """The share of messages whose code was entered, at most 100. None if none was sent."""
        # Codes may be used in these hours that were sent before them
        return min(100, round(100 * self.used / self.sent)) if self.sent else None

    @property
    def seconds_until_used(self) -> int | None:
        """The mean time until a code was used. None if none was."""
        return round(self.seconds / self.used) if self.used else None


class LeadingChannel(NamedTuple):
    """The channel by which most messages went to a country, and its share of them in percent."""

    country: str
    channel: Channel
    percent: int


async def recent(at: datetime, *, hours: int) -> list[Figures]:
    """Return the figures of the last hours, the present one included, most sent first."""
    sums = await delivery_counts.by_segment(since=_hour(at) - hours + 1)
    found = [
        Figures(country, channel, sent, delivered, used, seconds)
        for (country, channel), (sent, delivered, used, seconds) in sums.items()
    ]
    return sorted(found, key=lambda each: (-each.sent, each.country, each.channel))


def leading_channels(figures: Iterable[Figures], *, countries: int) -> list[LeadingChannel]:
    """Return the channel that is used most in each of the busiest countries, the busiest first.

    figures: most sent first, as `recent` returns them.
    """
    sent: Counter[str] = Counter()
    leading: dict[str, Figures] = {}
    for each in figures:
        if each.sent:
            sent[each.country] += each.sent
            leading.setdefault(each.country, each)
    return [
        LeadingChannel(
            country, leading[country].channel, round(100 * leading[country].sent / total)
        )
        for country, total in sent.most_common(countries)
    ]


async def purge(at: datetime, *, batch_size: int) -> int:
    """Delete a batch of rows of more than 30 days ago; return how many were deleted."""
    return await delivery_counts.purge(before=_hour(at) - 24 * KEEP_DAYS, batch_size=batch_size)


def _hour(at: datetime) -> int:
    return int(at.timestamp() // _HOUR_SECONDS)
