"""Differences between PostgreSQL and SQLite in SQL text and in rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import count
from typing import Any

from tortoise import fields

from referral.storage import columns, database
from referral.storage.database import Row

_TIMES = columns.of_type(fields.DatetimeField) | {"signed_in_at"}
"""`signed_in_at` is what the queries call sessions.SIGNED_IN_AT."""
_FROM_SQLITE: dict[str, Callable[[Any], object]] = {
    **dict.fromkeys(_TIMES, datetime.fromisoformat),
    **dict.fromkeys(columns.of_type(fields.BooleanField), bool),
}


def utc_day(column: str) -> str:
    """Return SQL for the day in UTC of a time in a column, as text: `2026-01-31`."""
    if database.is_postgres():
        return f"CAST(CAST({column} AT TIME ZONE 'UTC' AS DATE) AS TEXT)"
    return f"date({column})"


def placeholders(number: int, *, first: int = 1) -> str:
    """Return SQL for this number of placeholders: `$1, $2`."""
    return ", ".join(f"${place}" for place in range(first, first + number))


def decode_rows(rows: Sequence[Row]) -> Sequence[Row]:
    """Convert times and booleans, which SQLite returns as text and numbers."""
    if database.is_postgres():
        return rows
    return [
        {
            column: _FROM_SQLITE[column](value)
            if column in _FROM_SQLITE and value is not None
            else value
            for column, value in row.items()
        }
        for row in rows
    ]


def values_table(
    types: Sequence[str], rows: Sequence[Sequence[object]], *, first: int
) -> tuple[str, list[object]]:
    """Return SQL that selects these rows, and the values of its placeholders.

    types: SQL types of the columns. first: the number of the first placeholder. No text in the rows
    may have a comma.
    """
    if database.is_postgres():
        values: list[object] = [",".join(map(str, column)) for column in zip(*rows, strict=True)]
        return _unnested(tuple(types), first), values
    number = count(first)
    casts = (", ".join(f"CAST(${next(number)} AS {name})" for name in types) for _ in rows)
    return f"VALUES ({'), ('.join(casts)})", [value for row in rows for value in row]


@lru_cache
def _unnested(types: tuple[str, ...], first: int) -> str:
    """Return SQL that reads each column from one value.

    So the text is the same for any number of rows. The value is text because the driver takes 5
    microseconds more to encode an array. OFFSET 0 hides the number of rows from the planner, which
    would make a new plan for each number.
    """
    names = [f"column_{place}" for place in range(len(types))]
    arrays = ", ".join(
        f"string_to_array(${first + place}::TEXT, ',')::{name}[] AS {names[place]}"
        for place, name in enumerate(types)
    )
    given = f"(SELECT {arrays} OFFSET 0) AS given"
    return f"SELECT rows.* FROM {given}, unnest({', '.join(names)}) AS rows"  # noqa: S608 - our words
