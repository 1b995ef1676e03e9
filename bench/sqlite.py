"""Rows in a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from uuid import UUID

from referral.storage.configuration import sqlite_file

_BUSY_SECONDS = 10


def copy(url: str, table: str, columns: Sequence[str], records: Sequence[Sequence[object]]) -> None:
    """Add rows in one transaction, as the service stores them."""
    marks = ", ".join("?" for _ in columns)
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own
    with closing(sqlite3.connect(_file(url), timeout=_BUSY_SECONDS)) as file, file:
        file.executemany(sql, [[_stored(value) for value in record] for record in records])


def is_sqlite(url: str) -> bool:
    return sqlite_file(url) is not None


def _file(url: str) -> str:
    file = sqlite_file(url)
    if file is None:
        raise ValueError(f"not a SQLite URL: {url}")
    return file


def _stored(value: object) -> object:
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.isoformat(" ")
        case _:
            return value
