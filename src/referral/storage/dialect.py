"""Differences between the two databases, in SQL and in rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import count
from typing import Any

from referral.storage import database
from referral.storage.database import Row

_AS_TEXT = (
    *("activated_at", "at", "created_at", "deleted_at", "last_sign_in_at", "last_used_at"),
    "signed_in_at",
)
_AS_NUMBER = ("inviter_sees_phone", "is_admin", "is_blocked")
_FROM_SQLITE: dict[str, Callable[[Any], object]] = {
    **dict.fromkeys(_AS_TEXT, datetime.fromisoformat),
    **dict.fromkeys(_AS_NUMBER, bool),
}


def utc_day(column: str) -> str:
    """SQL for the day, in UTC, of a moment in a column: `2026-01-31`."""
    if database.is_postgres():
        return f"CAST(CAST({column} AT TIME ZONE 'UTC' AS DATE) AS TEXT)"
    return f"date({column})"


def as_in_postgres(rows: Sequence[Row]) -> Sequence[Row]:
    """Convert times and booleans, which SQLite returns as texts and numbers."""
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


def table(
    types: Sequence[str], rows: Sequence[Sequence[object]], *, first: int
) -> tuple[str, list[object]]:
    """SQL for a table of these rows, and its values, from the placeholder `$first` on.

    No text in it may have a comma.
    """
    if database.is_postgres():
        values: list[object] = [",".join(map(str, column)) for column in zip(*rows, strict=True)]
        return _table_of_columns(tuple(types), first), values
    places = count(first)
    marks = (", ".join(f"CAST(${next(places)} AS {name})" for name in types) for _ in rows)
    return f"VALUES ({'), ('.join(marks)})", [value for row in rows for value in row]


@lru_cache
def _table_of_columns(types: tuple[str, ...], first: int) -> str:
    """A column is one value: so one statement for any number of rows. As text, since the driver
    takes 5 microseconds more for an array. Behind OFFSET the planner cannot count the rows: so one
    plan too, where it would else make a new one every time.
    """
    names = [f"column_{place}" for place in range(len(types))]
    columns = ", ".join(
        f"string_to_array(${first + place}::TEXT, ',')::{name}[] AS {names[place]}"
        for place, name in enumerate(types)
    )
    given = f"(SELECT {columns} OFFSET 0) AS given"
    return f"SELECT rows.* FROM {given}, unnest({', '.join(names)}) AS rows"  # noqa: S608 - our words
