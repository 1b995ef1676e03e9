"""Counters and sessions in hash partitions, and a pytest plugin that runs the tests on them."""

from __future__ import annotations

import asyncpg
import pytest

import support

PARTITIONS = 8

# LIKE ... INCLUDING ALL copies columns, defaults, the primary key and indexes, but no foreign keys
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
    """Migrate as `support.migrated` does, and partition the tables on PostgreSQL."""
    await _migrate(database_url)
    if not database_url.startswith("sqlite"):
        await split(database_url)
        _partitioned.append(database_url)


async def split(url: str) -> None:
    """Move two tables with their rows into partitions."""
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
    """Make the tests use this `migrated`, before their fixtures import it."""
    support.migrated = migrated


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that partitioned no database: it would prove nothing."""
    if not _partitioned:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
