"""Other connections to PostgreSQL, whose locks block the service in the middle of its work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

COUNT_BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted"
_COUNT_OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
    AND pid <> pg_backend_pid()
"""
_COUNT_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"

on_postgres = pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@asynccontextmanager
async def other_connection(url: str) -> AsyncIterator[Any]:
    """Open another connection to the same PostgreSQL."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def wait_for_blocked(connection: Any, *, number: int = 1) -> None:
    """Wait until this many statements of the service wait for a lock."""
    async with asyncio.timeout(10):
        while await connection.fetchval(COUNT_BLOCKED) < number:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


async def wait_for_count(connection: Any, query: str, wanted: int) -> None:
    """Wait until a query that counts returns this number."""
    async with asyncio.timeout(10):
        while await connection.fetchval(query) != wanted:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)


async def deadlocks(url: str) -> int:
    """Return how many deadlocks there were in a database, once all connections to it are closed.

    The service repeats a call that deadlocks, after PostgreSQL has let it wait for a second.
    """
    if url.startswith("sqlite"):
        return 0
    async with other_connection(url) as connection:
        # They report theirs when they are closed
        await wait_for_count(connection, _COUNT_OTHERS, 0)
        return int(await connection.fetchval(_COUNT_DEADLOCKS))
