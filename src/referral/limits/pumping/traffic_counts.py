"""What was sent and what was completed, by the hour and place.

A row's key is `PLACE:HOUR`. The place is a country's two letters or its *part's* keyed digest of 22
characters, a range's of numbers or an address's: the length of the key tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from referral.limits.pumping.rules import Tally
from referral.storage import database, dialect, purge

# Both databases take 32,767 values in a statement
_AT_ONCE = 1000

_OF_COUNTRY, _OF_PART = "length(key) < 20", "length(key) > 20"
_ADD = """
    WITH counted (key, hour, sends, sign_ins) AS ({rows})
    INSERT INTO send_tallies (key, hour, sends, sign_ins)
    SELECT key, hour, sends, sign_ins FROM counted WHERE true ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        sends = send_tallies.sends + excluded.sends,
        sign_ins = send_tallies.sign_ins + excluded.sign_ins
    RETURNING key, hour, sends, sign_ins
"""
_COUNTRIES = f"""
    SELECT key, hour, sends, sign_ins FROM send_tallies WHERE hour >= $1 AND {_OF_COUNTRY}
"""  # noqa: S608 - our own words
_DAYS = f"""
    SELECT substr(key, 1, 2) AS place, hour / 24 AS day, sum(sends) AS sends,
           sum(sign_ins) AS sign_ins
    FROM send_tallies WHERE hour >= $1 AND hour < $2 AND {_OF_COUNTRY}
    GROUP BY substr(key, 1, 2), hour / 24
"""  # noqa: S608 - our own words
_PARTS = f"""
    SELECT key, hour, sends, sign_ins FROM send_tallies
    WHERE hour >= $1 AND {_OF_PART} AND substr(key, 1, 22) IN (
        SELECT substr(key, 1, 22) FROM send_tallies WHERE hour >= $1 AND {_OF_PART}
        GROUP BY substr(key, 1, 22) HAVING sum(sends) >= $2
        ORDER BY sum(sends) DESC LIMIT $3
    )
"""  # noqa: S608 - our own words


class Row(NamedTuple):
    """What stands in the table of one place and hour."""

    place: str
    hour: int
    tally: Tally


async def add(counted: Mapping[tuple[str, int], Tally]) -> list[Row]:
    """Add what was counted, by place and hour; answers where these rows stand then."""
    values = sorted((f"{place}:{hour}", hour, *tally) for (place, hour), tally in counted.items())

    async def work() -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(values), _AT_ONCE):
            some = values[start : start + _AT_ONCE]
            sql, given = dialect.table(("TEXT", "INT", "INT", "INT"), some, first=1)
            rows += _rows(await database.query(_ADD.format(rows=sql), *given))
        return rows

    return await database.transaction(work)


async def countries(*, since: int) -> list[Row]:
    """The hours of all countries. since: the first hour."""
    return _rows(await database.query(_COUNTRIES, since))


async def days(*, since: int, before: int) -> list[tuple[str, Tally]]:
    """Each country's days (UTC) between two hours, those that had a send."""
    rows = await database.query(_DAYS, since, before)
    return [(row["place"], Tally(int(row["sends"]), int(row["sign_ins"]))) for row in rows]


async def parts(*, since: int, least: int, most: int) -> list[Row]:
    """The hours of the ranges and addresses with at least so many sends: the first, so many."""
    return _rows(await database.query(_PARTS, since, least, most))


async def forget(*, before: int, parts_before: int, most: int) -> int:
    """Delete what lies before these hours; answers how many rows, `most` at a time."""
    over = f"hour < $1 OR (hour < $2 AND {_OF_PART})"
    return await purge.some("send_tallies", "key", before, parts_before, over=over, most=most)


def _rows(found: list[dict[str, Any]]) -> list[Row]:
    return [
        Row(row["key"].partition(":")[0], row["hour"], Tally(row["sends"], row["sign_ins"]))
        for row in found
    ]
