"""PostgreSQL: connected by the URL as it is, without a reset query at every release.

Nothing waits for ever: not for a connection while all are in use, not for one to be given back
whose server does not answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    TransactionalDBClient,
    TransactionContextPooled,
)

from referral.storage.engines import errors, urls
from referral.storage.engines.hosts import MultiHostConnector

ACQUIRE_SECONDS = 5
RELEASE_SECONDS = 2
ROLLBACK_SECONDS = 2
_EARLY_SECONDS = 0.01


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    def get_reset_query(self) -> str:
        # The pool would send it after every statement: half of a short query's time. Nothing
        # here sets session state: locks are taken for a transaction, settings never.
        return ""

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's own
        if not self.is_clean:
            await super().reset(timeout=timeout or RELEASE_SECONDS)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left of what it was used for: no transaction, no statement."""
        return not (
            self.is_in_transaction()
            or self._top_xact is not None
            or self._protocol._is_cancelling()  # noqa: SLF001 - nothing public has it
        )


class FairQueue(asyncio.LifoQueue[Any]):
    """Free connections, and who waits for one: first come, first served.

    asyncio's own wakes who waits and then lets anybody else be faster, for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        """Until when, and who, the first to come first."""
        # One for all who wait: most wait for a moment, and a timer takes as long as half a query
        self._timer: asyncio.TimerHandle | None = None

    def put_nowait(self, item: Any) -> None:
        while self._waiting:
            _, waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(item)
                return
        super().put_nowait(item)

    async def get(self) -> Any:
        """Raises TimeoutError."""
        if not self.empty():
            return self.get_nowait()
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.append((loop.time() + ACQUIRE_SECONDS, waiter))
        if self._timer is None:
            self._timer = loop.call_later(ACQUIRE_SECONDS, self._give_up)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # It was this one's turn just now
                self.put_nowait(waiter.result())
            raise

    def _give_up(self) -> None:
        """On those whose time is over; the others' comes."""
        loop = asyncio.get_running_loop()
        # A timer may be some milliseconds early
        now = loop.time() + _EARLY_SECONDS
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= now):
            _, waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(TimeoutError(f"no free connection for {ACQUIRE_SECONDS} s"))
        self._timer = None
        if self._waiting:
            self._timer = loop.call_at(self._waiting[0][0], self._give_up)


class Pool(asyncpg.Pool):  # type: ignore[misc]
    async def _initialize(self) -> None:
        await super()._initialize()
        self._queue = FairQueue()
        for holder in self._holders:
            self._queue.put_nowait(holder)

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        held = connection._con  # noqa: SLF001 - nothing public has it
        if held is None or held.is_closed() or not held.is_clean:
            await super().release(connection, timeout=timeout or RELEASE_SECONDS)
            return
        # As asyncpg does, but for the task that it makes, lest somebody cancels the wait, and which
        # takes as long as a third of a short query: there is no wait
        held._on_release()  # noqa: SLF001
        await connection._holder.release(timeout or RELEASE_SECONDS)  # noqa: SLF001


class _ErrorTranslation:
    """Raises what engines/errors.py has for the driver's errors."""

    async def _translate_exceptions(
        self, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any
    ) -> Any:
        # Every statement of Tortoise's goes through here
        try:
            return await func(self, *args, **kwargs)
        except errors.POSTGRES_ERRORS as error:
            errors.translate_postgres(error)
            raise


class Transaction(_ErrorTranslation, TransactionWrapper):
    async def rollback(self) -> None:
        # Of a statement that got no answer, most often: this one would not either
        async with asyncio.timeout(ROLLBACK_SECONDS):
            await super().rollback()


class PooledTransaction(TransactionContextPooled):
    async def __aenter__(self) -> TransactionalDBClient:
        try:
            return await super().__aenter__()
        except Exception as error:
            # Tortoise keeps the connection of a transaction that did not begin, for ever
            connection = self.client._connection  # noqa: SLF001 - nothing public has it
            if connection is not None:
                # One that was lost has gone back to the pool by itself
                with suppress(asyncpg.InterfaceError):
                    connection.terminate()
            errors.translate_postgres(error)
            raise

    async def __aexit__(self, *raised: object) -> None:
        try:
            await super().__aexit__(*raised)
        except errors.POSTGRES_ERRORS as error:
            errors.translate_postgres(error)
            raise


class Client(_ErrorTranslation, AsyncpgDBClient):
    connection_class = Connection

    def __init__(self, dsn: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dsn = dsn

    def _in_transaction(self) -> PooledTransaction:
        return PooledTransaction(Transaction(self), self._pool_init_lock)

    async def execute_query_dict(
        self, query: str, values: list[Any] | None = None
    ) -> list[dict[str, Any]]:
        """As Tortoise's own, in a quarter of its steps."""
        return [dict(row) for row in await self.fetch(query, values)]

    async def fetch(
        self, query: str, values: list[Any] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """The driver's own rows: a dict of each would take as long as reading it."""
        if self._pool is None:
            found: Any = await super().execute_query_dict(query, values)
        else:
            found = await self._translate_exceptions(Client._fetch, query, values or ())
        rows: Sequence[Mapping[str, Any]] = found
        return rows

    async def _fetch(self, query: str, values: Sequence[Any]) -> Any:
        pool: Any = self._pool
        connection = await pool._acquire(None)  # noqa: SLF001 - what acquire() wraps
        try:
            return await connection.fetch(query, *values)
        finally:
            await pool.release(connection)

    def pool_connections(self) -> dict[str, int]:
        """How many there are, by state."""
        if self._pool is None:
            return {}
        idle = self._pool.get_idle_size()
        return {"idle": idle, "in use": self._pool.get_size() - idle}

    async def create_pool(self, **kwargs: Any) -> asyncpg.Pool:
        # asyncpg reads what a DSN may hold (sslmode, a socket's folder, several hosts) better
        # than Tortoise, which takes it apart
        for part in ("host", "port", "user", "database", "password"):
            del kwargs[part]
        kwargs.setdefault("max_queries", 50_000)
        kwargs.setdefault("max_inactive_connection_lifetime", 300.0)
        # PgBouncer before 1.21 lends a connection for a transaction, and the next finds another's
        # prepared statements there, or none: hence 0 in some URLs
        dsn, size = urls.pop_parameter(self._dsn, urls.STATEMENT_CACHE_SIZE)
        if size is not None:
            kwargs[urls.STATEMENT_CACHE_SIZE] = int(size)
        if len(urls.host_urls(dsn)) > 1:
            kwargs["connect"] = MultiHostConnector(dsn).connect
        return await Pool(dsn, record_class=asyncpg.Record, **kwargs)


client_class = Client
