"""Queries for the messages that were sent, delivered and used, by country, channel and hour.

A row's key is `KZ:telegram:HOUR`: never a phone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from referral.core.channels import Channel
from referral.storage import database, dialect
from referral.storage.purging import delete_batch

# A row has six values, and SQLite takes 32,766 values in a statement
_ROWS_IN_STATEMENT = 1000

_TYPES = ("TEXT", "INT", "INT", "INT", "INT", "DOUBLE PRECISION")
# Rows are locked in the order of their keys, so two processes cannot wait for each other
_ADD = """
    WITH counted (key, hour, sent, delivered, used, seconds) AS ({rows})
    INSERT INTO delivery_counts (key, hour, sent, delivered, used, seconds)
    SELECT key, hour, sent, delivered, used, seconds FROM counted WHERE true ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        sent = delivery_counts.sent + excluded.sent,
        delivered = delivery_counts.delivered + excluded.delivered,
        used = delivery_counts.used + excluded.used,
        seconds = delivery_counts.seconds + excluded.seconds
"""
# A key without the digits of its hour: `KZ:telegram:`
_SEGMENT = "rtrim(key, '0123456789')"
_SINCE = f"""
    SELECT {_SEGMENT} AS segment, sum(sent) AS sent, sum(delivered) AS delivered,
           sum(used) AS used, sum(seconds) AS seconds
    FROM delivery_counts WHERE hour >= $1 GROUP BY {_SEGMENT}
"""  # noqa: S608 - only constants


class DeliveryCounts(NamedTuple):
    """The numbers of messages, and the sum of the seconds until their codes were used."""

    sent: int = 0
    delivered: int = 0
    used: int = 0
    seconds: float = 0.0

    def plus(self, other: DeliveryCounts) -> DeliveryCounts:
        return DeliveryCounts(
            self.sent + other.sent,
            self.delivered + other.delivered,
            self.used + other.used,
            self.seconds + other.seconds,
        )


class CountryChannel(NamedTuple):
    """A country (ISO 3166-1) and a channel."""

    country: str
    channel: Channel


async def add(counted: Mapping[tuple[CountryChannel, int], DeliveryCounts]) -> None:
    """Add counts, by segment and hour: all of them or none."""
    values = sorted(
        (f"{segment.country}:{segment.channel}:{hour}", hour, *counts)
        for (segment, hour), counts in counted.items()
    )

    async def work() -> None:
        for start in range(0, len(values), _ROWS_IN_STATEMENT):
            some = values[start : start + _ROWS_IN_STATEMENT]
            sql, given = dialect.values_table(_TYPES, some, first=1)
            await database.query(_ADD.format(rows=sql), *given)

    await database.transaction(work)


async def by_segment(*, since: int) -> dict[CountryChannel, DeliveryCounts]:
    """Return the sums of each country and channel. since: the first hour."""
    return {
        _segment(row["segment"]): DeliveryCounts(
            # sum() of PostgreSQL is numeric or bigint
            int(row["sent"]),
            int(row["delivered"]),
            int(row["used"]),
            float(row["seconds"]),
        )
        for row in await database.query(_SINCE, since)
    }


async def purge(*, before: int, batch_size: int) -> int:
    """Delete a batch of rows of earlier hours than this. Return how many were deleted."""
    return await delete_batch(
        "delivery_counts", "key", before, where="hour < $1", batch_size=batch_size
    )


def _segment(text: str) -> CountryChannel:
    country, channel, _ = text.split(":")
    return CountryChannel(country, Channel(channel))
