"""Statements of SQLite: written as for PostgreSQL, with the driver's errors translated."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from referral.storage.engines import errors


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise what engines/errors.py has for the driver's errors."""
    try:
        yield
    except errors.SQLITE_ERRORS as error:
        errors.translate_sqlite(error)
        raise


class PortableStatements:
    """Named queries are written once, for both databases, and errors translated once."""

    async def create_connection(self, with_db: bool) -> None:  # noqa: FBT001 - Tortoise's own
        with translate_errors():
            await super().create_connection(with_db)  # type: ignore[misc]

    async def execute_insert(self, query: str, values: list[Any]) -> int:
        with translate_errors():
            row: int = await super().execute_insert(query, values)  # type: ignore[misc]
        return row

    async def execute_query(
        self, query: str, values: list[Any] | None = None
    ) -> tuple[int, Sequence[dict[str, Any]]]:
        with translate_errors():
            found: tuple[int, Sequence[dict[str, Any]]] = await super().execute_query(  # type: ignore[misc]
                query, values
            )
        return found

    async def execute_query_dict(
        self, query: str, values: list[Any] | None = None
    ) -> list[dict[str, Any]]:
        with translate_errors():
            rows: list[dict[str, Any]] = await super().execute_query_dict(  # type: ignore[misc]
                query, _bound(query, values or ())
            )
        return rows

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        rows = [_bound(query, row) for row in values]
        with translate_errors():
            await super().execute_many(query, rows)  # type: ignore[misc]


def split_script(script: str) -> Sequence[str]:
    statements, rest = [], ""
    for part in script.split(";"):
        rest += part + ";"
        if sqlite3.complete_statement(rest):
            statements.append(rest)
            rest = ""
    return statements


def _bound(query: str, values: Sequence[object]) -> Sequence[object] | dict[str, object]:
    """Bind the values to the placeholders of a query: to Tortoise's `?` by position, to `$1` of a
    named query by name, since that is what it is to SQLite. As `?1` it would be neither: Python
    3.12.0 to 3.12.3 warn of it (python/cpython#117995).
    """
    stored = [_stored(value) for value in values]
    if "$1" not in query:
        return stored
    return {str(place): value for place, value in enumerate(stored, 1)}


def _stored(value: object) -> object:
    """The value as Tortoise's own fields store it in SQLite."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value
