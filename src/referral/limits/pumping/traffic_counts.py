"""Queries for the sends and completed sign-ins of each segment and hour.

A row's key is `SEGMENT:HOUR`. The segment is a country's two letters, or for a *part* (a range of
numbers or an address) a keyed digest of 22 characters. The length of the key tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from referral.limits.pumping.rules import Counts
from referral.storage import database, dialect
from referral.storage.purging import delete_batch

# A row has four values, and SQLite takes 32,766 values in a statement
_ROWS_IN_STATEMENT = 1000

_OF_COUNTRY, _OF_PART = "length(key) < 20", "length(key) > 20"
_ADD = """
    WITH counted (key, hour, sends, sign_ins) AS ({rows})
    INSERT INTO traffic_counts (key, hour, sends, sign_ins)
    SELECT key, hour, sends, sign_ins FROM counted WHERE true ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        sends = traffic_counts.sends + excluded.sends,
        sign_ins = traffic_counts.sign_ins + excluded.sign_ins
    RETURNING key, hour, sends, sign_ins
"""
_COUNTRIES = f"""
    SELECT key, hour, sends, sign_ins FROM traffic_counts WHERE hour >= $1 AND {_OF_COUNTRY}
"""  # noqa: S608 - only constants
_DAYS = f"""
    SELECT substr(key, 1, 2) AS segment, hour / 24 AS day, sum(sends) AS sends,
           sum(sign_ins) AS sign_ins
    FROM traffic_counts WHERE hour >= $1 AND hour < $2 AND {_OF_COUNTRY}
    GROUP BY substr(key, 1, 2), hour / 24
"""  # noqa: S608 - only constants
_PARTS = f"""
    SELECT key, hour, sends, sign_ins FROM traffic_counts
    WHERE hour >= $1 AND {_OF_PART} AND substr(key, 1, 22) IN (
        SELECT substr(key, 1, 22) FROM traffic_counts WHERE hour >= $1 AND {_OF_PART}
        GROUP BY substr(key, 1, 22) HAVING sum(sends) >= $2
        ORDER BY sum(sends) DESC LIMIT $3
    )
"""  # noqa: S608 - only constants


class Row(NamedTuple):
    """The counts of one segment and hour."""

    segment: str
    hour: int
    counts: Counts


async def add(counted: Mapping[tuple[str, int], Counts]) -> list[Row]:
    """Add counts, by segment and hour. Return the rows with the new sums."""
    values = sorted(
        (f"{segment}:{hour}", hour, *counts) for (segment, hour), counts in counted.items()
    )

    async def work() -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(values), _ROWS_IN_STATEMENT):
            some = values[start : start + _ROWS_IN_STATEMENT]
            sql, given = dialect.values_table(("TEXT", "INT", "INT", "INT"), some, first=1)
            rows += _rows(await database.query(_ADD.format(rows=sql), *given))
        return rows

    return await database.transaction(work)


async def countries(*, since: int) -> list[Row]:
    """Return the counts of all countries by hour. since: the first hour."""
    return _rows(await database.query(_COUNTRIES, since))


async def days(*, since: int, before: int) -> list[tuple[str, Counts]]:
    """Return the counts of each country by day (UTC), from one hour to before another."""
    rows = await database.query(_DAYS, since, before)
    return [(row["segment"], Counts(int(row["sends"]), int(row["sign_ins"]))) for row in rows]


async def parts(*, since: int, min_sends: int, limit: int) -> list[Row]:
    """Return the counts by hour of the `limit` ranges and addresses with the most sends."""
    return _rows(await database.query(_PARTS, since, min_sends, limit))


async def purge(*, before: int, parts_before: int, batch_size: int) -> int:
    """Delete a batch of rows of earlier hours than these. Return how many were deleted."""
    where = f"hour < $1 OR (hour < $2 AND {_OF_PART})"
    return await delete_batch(
        "traffic_counts", "key", before, parts_before, where=where, batch_size=batch_size
    )


def _rows(found: list[dict[str, Any]]) -> list[Row]:
    return [
        Row(row["key"].partition(":")[0], row["hour"], Counts(row["sends"], row["sign_ins"]))
        for row in found
    ]
