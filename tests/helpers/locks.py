"""Another connection to PostgreSQL, which holds the service up in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"

on_postgres = pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)


@asynccontextmanager
async def somebody_else(url: str) -> AsyncIterator[Any]:
    """Another connection to the same PostgreSQL."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def until_somebody_waits(connection: Any, *, number: int = 1) -> None:
    """Until so many statements of the service wait for a lock."""
    async with asyncio.timeout(10):
        while await connection.fetchval(WAITING) < number:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.01)
