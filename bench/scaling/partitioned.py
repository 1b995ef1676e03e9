"""Counters and sessions in hash partitions, and a plugin of pytest by which its tests run so."""

from __future__ import annotations

import asyncpg
import pytest

import support

PARTITIONS = 8

# A LIKE takes columns, defaults, the primary key and the indexes over; a foreign key it does not
_SPLIT = """
    ALTER TABLE {table} RENAME TO {table}_whole;
    CREATE TABLE {table} (LIKE {table}_whole INCLUDING ALL) PARTITION BY HASH ({column});
    {partitions}
    INSERT INTO {table} SELECT * FROM {table}_whole;
    DROP TABLE {table}_whole;
"""
_PARTITION = """
    CREATE TABLE {table}_{number} PARTITION OF {table}
    FOR VALUES WITH (MODULUS {of}, REMAINDER {number});
"""
_FOREIGN_KEY = "ALTER TABLE sessions ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE"

_migrate = support.migrated
_partitioned: list[str] = []


async def migrated(database_url: str) -> None:
    """As `support.migrated`, and on PostgreSQL partitioned."""
    await _migrate(database_url)
    if not database_url.startswith("sqlite"):
        await split(database_url)
        _partitioned.append(database_url)


async def split(url: str) -> None:
    """Put two tables into partitions, with what is in them."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            for table, column in {"counters": "key", "sessions": "id"}.items():
                await connection.execute(statements(table, column))
            await connection.execute(_FOREIGN_KEY)
    finally:
        await connection.close()


def statements(table: str, column: str) -> str:
    partitions = "".join(
        _PARTITION.format(table=table, number=number, of=PARTITIONS) for number in range(PARTITIONS)
    )
    return _SPLIT.format(table=table, column=column, partitions=partitions)


def pytest_load_initial_conftests() -> None:
    """The tests' databases are made by this from here on: before they look for it."""
    support.migrated = migrated


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run without any partition shows nothing."""
    if not _partitioned:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
