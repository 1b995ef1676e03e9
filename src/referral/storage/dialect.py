"""SQL that the two databases spell differently."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import count

from referral.storage import database


def utc_day(column: str) -> str:
    """SQL for the day, in UTC, of a moment in a column: `2026-01-31`."""
    if database.is_postgres():
        return f"CAST(CAST({column} AT TIME ZONE 'UTC' AS DATE) AS TEXT)"
    return f"date({column})"


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
