"""Run statements on SQLite that are written for PostgreSQL."""

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
    """Translate the driver's errors as engines/errors.py says."""
    try:
        yield
    except errors.SQLITE_ERRORS as error:
        errors.translate_sqlite(error)
        raise


class PortableStatements:
    """A mixin for Tortoise's clients: accepts `$1` placeholders and translates errors."""

    async def create_connection(self, with_db: bool) -> None:  # noqa: FBT001 - Tortoise's signature
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
                query, _bind(query, values or ())
            )
        return rows

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        rows = [_bind(query, row) for row in values]
        with translate_errors():
            await super().execute_many(query, rows)  # type: ignore[misc]


def split_script(script: str) -> Sequence[str]:
    """Split a script into its statements."""
    statements, rest = [], ""
    for part in script.split(";"):
        rest += part + ";"
        if sqlite3.complete_statement(rest):
            statements.append(rest)
            rest = ""
    return statements


def _bind(query: str, values: Sequence[object]) -> Sequence[object] | dict[str, object]:
    """Return the values as the driver takes them for the placeholders of a query.

    A sequence for Tortoise's `?`; a dict for `$1`, which is a named parameter to SQLite.
    `?1` would not do: Python 3.12.0 to 3.12.3 warn about it (python/cpython#117995).
    """
    encoded = [_encode(value) for value in values]
    if "$1" not in query:
        return encoded
    return {str(place): value for place, value in enumerate(encoded, 1)}


def _encode(value: object) -> object:
    """Encode a value as Tortoise's fields store it in SQLite."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value
