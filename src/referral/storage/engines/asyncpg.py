"""PostgreSQL through asyncpg: the pool, its queue, and statements with fewer steps.

Rules:

- Nothing waits without a limit. A free connection comes within ACQUIRE_SECONDS or TimedOut is
  raised; a rollback takes ROLLBACK_SECONDS at most; a connection that is not clean has
  RELEASE_SECONDS to be reset before it is closed.
- Tasks get connections in the order in which they ask for them, by `FairQueue`. asyncio's queue
  wakes the first waiter but lets a task that asks later take the item first, so a busy task could
  starve the waiters.
- A released connection is not reset. Reset queries undo session state (settings, advisory locks of
  the session, LISTEN), and this service never sets any: its locks and settings end with the
  transaction. A reset query after each statement would take half of a short query's time.
- A connection is released without asyncpg's shielded task if it is clean, that is, if it has
  neither a transaction nor a cancelled statement. There is nothing to wait for then, and the task
  takes as long as a third of a short query.
- asyncpg gets the whole URL, because it knows more parameters (`sslmode`, a folder of Unix sockets)
  than Tortoise does. If the URL has several hosts, `hosts.py` connects.

Private members of asyncpg and Tortoise that this needs are listed in docs/private-members.md.
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
_TIMER_TOLERANCE = 0.01


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    def get_reset_query(self) -> str:
        return ""

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's
        if not self.is_clean:
            await super().reset(timeout=timeout or RELEASE_SECONDS)

    @property
    def is_clean(self) -> bool:
        """Whether it has no transaction and no statement that is being cancelled."""
        return not (
            self.is_in_transaction()
            or self._top_xact is not None
            or self._protocol._is_cancelling()  # noqa: SLF001 - see docs/private-members.md
        )


class FairQueue(asyncio.LifoQueue[Any]):
    """The pool's free connections. Waiters are served in the order of their arrival."""

    def __init__(self) -> None:
        super().__init__()
        self._waiters: deque[tuple[float, asyncio.Future[Any]]] = deque()
        """Deadlines by the loop's clock, and futures, in the order of their arrival."""
        # One timer for all waiters. Most wait briefly, and a timer each would take as long as half
        # a short query
        self._timer: asyncio.TimerHandle | None = None

    def put_nowait(self, item: Any) -> None:
        while self._waiters:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(item)
                return
        super().put_nowait(item)

    async def get(self) -> Any:
        """Return a free connection. Raises TimeoutError after ACQUIRE_SECONDS."""
        if not self.empty():
            return self.get_nowait()
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiters.append((loop.time() + ACQUIRE_SECONDS, waiter))
        if self._timer is None:
            self._timer = loop.call_later(ACQUIRE_SECONDS, self._expire_waiters)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # It was given a connection and then cancelled: pass the connection on
                self.put_nowait(waiter.result())
            raise

    def _expire_waiters(self) -> None:
        """Fail the waiters whose deadline has passed, then set the timer for the next one."""
        loop = asyncio.get_running_loop()
        # A timer may fire some milliseconds early
        now = loop.time() + _TIMER_TOLERANCE
        while self._waiters and (self._waiters[0][1].done() or self._waiters[0][0] <= now):
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(TimeoutError(f"no free connection for {ACQUIRE_SECONDS} s"))
        self._timer = None
        if self._waiters:
            self._timer = loop.call_at(self._waiters[0][0], self._expire_waiters)


class Pool(asyncpg.Pool):  # type: ignore[misc]  # asyncpg ships no types
    async def _initialize(self) -> None:
        await super()._initialize()
        self._queue = FairQueue()
        for holder in self._holders:
            self._queue.put_nowait(holder)

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's
        inner = connection._con  # noqa: SLF001 - see docs/private-members.md
        if inner is None or inner.is_closed() or not inner.is_clean:
            await super().release(connection, timeout=timeout or RELEASE_SECONDS)
            return
        # The steps of asyncpg's release() without its shielded task
        inner._on_release()  # noqa: SLF001 - see docs/private-members.md
        await connection._holder.release(timeout or RELEASE_SECONDS)  # noqa: SLF001 - see docs/private-members.md


class _ErrorTranslation:
    """A mixin for Tortoise's clients: translates errors as engines/errors.py says."""

    async def _translate_exceptions(
        self, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any
    ) -> Any:
        # Tortoise calls this for every statement
        try:
            return await func(self, *args, **kwargs)
        except errors.POSTGRES_ERRORS as error:
            errors.translate_postgres(error)
            raise


class Transaction(_ErrorTranslation, TransactionWrapper):
    async def rollback(self) -> None:
        # Often it follows a statement that got no response, and would get none either
        async with asyncio.timeout(ROLLBACK_SECONDS):
            await super().rollback()


class PooledTransaction(TransactionContextPooled):
    async def __aenter__(self) -> TransactionalDBClient:
        try:
            return await super().__aenter__()
        except Exception as error:
            # Tortoise does not release the connection of a transaction that could not begin
            connection = self.client._connection  # noqa: SLF001 - see docs/private-members.md
            if connection is not None:
                # InterfaceError if it was lost, and so has gone back to the pool already
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

    async def execute_query_dict(
        self, query: str, values: list[Any] | None = None
    ) -> list[dict[str, Any]]:
        """Run a query as Tortoise's own method does, in a quarter of its steps."""
        return [dict(row) for row in await self.fetch(query, values)]

    async def fetch(
        self, query: str, values: list[Any] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """Run a query and return the driver's rows.

        Making a dict of each row would take as long as reading it.
        """
        if self._pool is None:
            found: Any = await super().execute_query_dict(query, values)
        else:
            found = await self._translate_exceptions(Client._fetch, query, values or ())
        rows: Sequence[Mapping[str, Any]] = found
        return rows

    def pool_connections(self) -> dict[str, int]:
        """Count the pool's connections by state."""
        if self._pool is None:
            return {}
        idle = self._pool.get_idle_size()
        return {"idle": idle, "in use": self._pool.get_size() - idle}

    async def create_pool(self, **kwargs: Any) -> asyncpg.Pool:
        # The URL has all of these
        for part in ("host", "port", "user", "database", "password"):
            del kwargs[part]
        kwargs.setdefault("max_queries", 50_000)
        kwargs.setdefault("max_inactive_connection_lifetime", 300.0)
        # PgBouncer before 1.21 lends a connection for one transaction, so the next one would find
        # another client's prepared statements or none. URLs for it have statement_cache_size=0
        dsn, size = urls.pop_parameter(self._dsn, urls.STATEMENT_CACHE_SIZE)
        if size is not None:
            kwargs[urls.STATEMENT_CACHE_SIZE] = int(size)
        if len(urls.host_urls(dsn)) > 1:
            kwargs["connect"] = MultiHostConnector(dsn).connect
        return await Pool(dsn, record_class=asyncpg.Record, **kwargs)

    async def _fetch(self, query: str, values: Sequence[Any]) -> Any:
        pool: Any = self._pool
        connection = await pool._acquire(None)  # noqa: SLF001 - see docs/private-members.md
        try:
            return await connection.fetch(query, *values)
        finally:
            await pool.release(connection)

    def _in_transaction(self) -> PooledTransaction:
        return PooledTransaction(Transaction(self), self._pool_init_lock)


client_class = Client
