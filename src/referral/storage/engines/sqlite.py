"""SQLite: one connection, one writer at a time, and statements written as for PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from tortoise.backends.base.client import (
    ConnectionWrapper,
    TransactionalDBClient,
)
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
)
from tortoise.connection import get_connections

from referral.storage.engines import errors
from referral.storage.engines.sqlite_commits import FIRST_WAIT, LONGEST_WAIT, GroupCommitter
from referral.storage.engines.sqlite_statements import PortableStatements, split_script

T = TypeVar("T")

_READS = ("SELECT", "WITH RECURSIVE", "PRAGMA")
"""How read-only statements begin."""


class Transaction(PortableStatements, SqliteTransactionWrapper):
    async def execute_script(self, query: str) -> None:
        # sqlite3's executescript() would commit first
        for statement in split_script(query):
            await self.execute_query(statement)


class WriterTransaction(SqliteTransactionContext):
    """A transaction with a COMMIT of its own or its group's. The task must not be cancelled."""

    async def __aenter__(self) -> TransactionalDBClient:
        client: Client = self.connection._parent  # noqa: SLF001 - see docs/private-members.md
        self._commits = client.commits
        deadline = client.deadline()
        await self._commits.writer_lock.acquire()
        try:
            await self._commits.yield_to_other_processes()
            return await client.retry_while_busy(self._open, deadline)
        except BaseException:
            self._commits.writer_lock.release()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            group = await self._commits.end(self._joined, has_failed=kind is not None)
        finally:
            get_connections().reset(self.token)
            self._trxlock.release()
            self._commits.writer_lock.release()
        if group is not None and (kind is None or issubclass(kind, Exception)):
            await group.wait()

    async def _open(self) -> TransactionalDBClient:
        await self._trxlock.acquire()
        try:
            # As in _ReleasingWrapper
            self.connection._connection = self.connection._parent._connection  # noqa: SLF001
            await self.ensure_connection()
            self._joined = await self._commits.begin()
        except BaseException:
            # Tortoise does not release the lock of a transaction that could not begin
            self._trxlock.release()
            raise
        self.token = get_connections().set(self.connection_name, self.connection)
        transaction: TransactionalDBClient = self.connection
        return transaction


class _ReleasingWrapper(ConnectionWrapper[Any]):
    """Releases the connection's lock if the file cannot be opened, so that others can try."""

    async def ensure_connection(self) -> None:
        # Tortoise looks before it has the lock, and may see one that could not be opened
        self.connection = self.client._connection  # noqa: SLF001 - see docs/private-members.md
        try:
            await super().ensure_connection()
        except BaseException:
            self._lock.release()
            raise


class Client(PortableStatements, SqliteClient):
    """The connection. Reads use it while a write waits for the lock of the file.

    SQLite's own busy timeout would wait inside the driver and hold the connection, so it is 0, and
    a write tries again instead. One write waits for the file at a time; the others wait for the
    writer lock.
    """

    def __init__(self, file_path: str, *, busy_timeout: int, **kwargs: Any) -> None:
        super().__init__(file_path, busy_timeout=0, **kwargs)
        self._busy_seconds = busy_timeout / 1000
        self.commits = GroupCommitter(self, self._lock)

    def acquire_connection(self) -> ConnectionWrapper[Any]:
        return _ReleasingWrapper(self._lock, self)

    async def create_connection(self, with_db: bool) -> None:  # noqa: FBT001 - Tortoise's signature
        try:
            await super().create_connection(with_db)
        except BaseException:
            # Otherwise it would be used without pragmas that were not run yet, such as foreign_keys
            await super().close()
            raise

    async def close(self) -> None:
        await self.commits.tasks.wait()
        await super().close()

    def deadline(self) -> float:
        """Return when a call that begins now stops waiting for the file, by `monotonic`."""
        return monotonic() + self._busy_seconds

    async def retry_while_busy(self, attempt: Callable[[], Awaitable[T]], deadline: float) -> T:
        """Repeat an attempt while the file is locked. Raises Unavailable after the deadline."""
        wait = FIRST_WAIT
        while True:
            try:
                return await attempt()
            except errors.Unavailable as error:
                if not errors.is_busy(error) or monotonic() >= deadline:
                    raise
            self.commits.busy_at = monotonic()
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    async def execute_insert(self, query: str, values: list[Any]) -> int:
        return await self._execute(partial(super().execute_insert, query, values), query)

    async def execute_query(
        self, query: str, values: list[Any] | None = None
    ) -> tuple[int, Sequence[dict[str, Any]]]:
        return await self._execute(partial(super().execute_query, query, values), query)

    async def execute_query_dict(
        self, query: str, values: list[Any] | None = None
    ) -> list[dict[str, Any]]:
        return await self._execute(partial(super().execute_query_dict, query, values), query)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        await self._in_own_transaction(lambda each: each.execute_many(query, values))

    async def execute_script(self, query: str) -> None:
        await self._in_own_transaction(lambda each: each.execute_script(query))

    async def fetch(
        self, query: str, values: list[Any] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        return await self.execute_query_dict(query, values)

    def pool_connections(self) -> dict[str, int]:
        """Return nothing, since there is no pool."""
        return {}

    async def _execute(self, call: Callable[[], Awaitable[T]], query: str) -> T:
        """Execute one statement. It needs no savepoint, because SQLite makes it atomic."""
        if query.lstrip().startswith(_READS):
            return await self.commits.after_group_commit(
                self.retry_while_busy(call, self.deadline())
            )
        if self.commits.is_contended():
            in_turn = self.commits.after_group_commit(self._write_in_turn(call))
            return await self.commits.tasks.shielded(in_turn)
        async with self.commits.writer_lock:
            return await self.retry_while_busy(call, self.deadline())

    async def _write_in_turn(self, call: Callable[[], Awaitable[T]]) -> T:
        deadline = self.deadline()
        async with self.commits.writer_lock:
            await self.commits.yield_to_other_processes()
            await self.retry_while_busy(self._begin_statement, deadline)
            return await self.retry_while_busy(call, deadline)

    async def _begin_statement(self) -> None:
        async with self.acquire_connection():
            await self.commits.begin_statement()

    async def _in_own_transaction(
        self, work: Callable[[TransactionalDBClient], Awaitable[None]]
    ) -> None:
        async def execute() -> None:
            async with self._in_transaction() as transaction:
                await work(transaction)

        await self.commits.tasks.shielded(execute())

    def _in_transaction(self) -> WriterTransaction:
        return WriterTransaction(Transaction(self), self._lock)


client_class = Client
