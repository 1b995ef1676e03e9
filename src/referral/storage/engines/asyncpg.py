"""PostgreSQL: connected by the URL as it is, without a reset query at every release.

Nothing waits for ever: not for a connection while all are in use, not for one to be given back
whose server does not answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    TransactionalDBClient,
    TransactionContext,
    TransactionContextPooled,
)

ACQUIRE_SECONDS = 5
RELEASE_SECONDS = 2
ROLLBACK_SECONDS = 2


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    def get_reset_query(self) -> str:
        # The pool would send it after every statement: half of a short query's time. Nothing
        # here sets session state: locks are taken for a transaction, settings never.
        return ""

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's own
        if not self.is_clean:
            await super().reset(timeout=timeout)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left of what it was used for: no transaction, no statement."""
        return not (
            self.is_in_transaction()
            or self._top_xact is not None
            or self._protocol._is_cancelling()  # noqa: SLF001 - nothing public has it
        )


class Pool(asyncpg.Pool):  # type: ignore[misc]
    async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's own
        if not self._queue.empty():
            # No wait but for a new connection, which has its own time-out
            return await super()._acquire(None)
        # asyncpg's own time-out makes a task for each statement
        async with asyncio.timeout(timeout or ACQUIRE_SECONDS):
            return await super()._acquire(None)

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        held = connection._con  # noqa: SLF001 - nothing public has it
        if held is None or not held.is_clean:
            await super().release(connection, timeout=timeout or RELEASE_SECONDS)
            return
        # As asyncpg does, but for the task that it makes, lest somebody cancels the wait: there is
        # none. With the rest here, what a short statement spends beside itself is half
        held._on_release()  # noqa: SLF001
        await connection._holder.release(timeout or RELEASE_SECONDS)  # noqa: SLF001


class Transaction(TransactionWrapper):
    async def rollback(self) -> None:
        # Of a statement that got no answer, most often: this one would not either
        async with asyncio.timeout(ROLLBACK_SECONDS):
            await super().rollback()


class Opening(TransactionContextPooled):
    async def __aenter__(self) -> TransactionalDBClient:
        try:
            return await super().__aenter__()
        except Exception:
            # Tortoise keeps the connection of a transaction that did not begin, for ever
            connection = self.client._connection  # noqa: SLF001 - nothing public has it
            if connection is not None:
                connection.terminate()
            raise


class Client(AsyncpgDBClient):
    connection_class = Connection

    def _in_transaction(self) -> TransactionContext:
        return Opening(Transaction(self), self._pool_init_lock)

    def pool_connections(self) -> dict[str, int]:
        """How many there are, by state."""
        if self._pool is None:
            return {}
        idle = self._pool.get_idle_size()
        return {"idle": idle, "in use": self._pool.get_size() - idle}

    def __init__(self, dsn: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dsn = dsn

    async def create_pool(self, **kwargs: Any) -> asyncpg.Pool:
        # asyncpg reads what a DSN may hold (sslmode, a socket's folder, several hosts) better
        # than Tortoise, which takes it apart
        for part in ("host", "port", "user", "database", "password"):
            del kwargs[part]
        kwargs.setdefault("max_queries", 50_000)
        kwargs.setdefault("max_inactive_connection_lifetime", 300.0)
        return await Pool(self._dsn, record_class=asyncpg.Record, **kwargs)


client_class = Client
