"""SQLite: one connection, writes that take turns, and statements written as for PostgreSQL."""

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

_READING = ("SELECT", "WITH RECURSIVE", "PRAGMA")


class Transaction(PortableStatements, SqliteTransactionWrapper):
    async def execute_script(self, query: str) -> None:
        # sqlite3's executescript() would commit first
        for statement in split_script(query):
            await self.execute_query(statement)


class WriterTransaction(SqliteTransactionContext):
    """A transaction with a commit of its own or a shared one. For tasks that nobody cancels."""

    async def __aenter__(self) -> TransactionalDBClient:
        client: Client = self.connection._parent  # noqa: SLF001 - nothing public has it
        self._commits = client.commits
        deadline = client.deadline()
        await self._commits.turns.acquire()
        try:
            await self._commits.give_way()
            return await client.retry_while_busy(self._open, deadline)
        except BaseException:
            self._commits.turns.release()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            shared = await self._commits.end(self._joined, has_failed=kind is not None)
        finally:
            get_connections().reset(self.token)
            self._trxlock.release()
            self._commits.turns.release()
        if shared is not None and (kind is None or issubclass(kind, Exception)):
            await shared.wait()

    async def _open(self) -> TransactionalDBClient:
        await self._trxlock.acquire()
        try:
            await self.ensure_connection()
            self._joined = await self._commits.begin()
        except BaseException:
            # Tortoise keeps the lock of a transaction that did not begin
            self._trxlock.release()
            raise
        self.token = get_connections().set(self.connection_name, self.connection)
        transaction: TransactionalDBClient = self.connection
        return transaction


class _LockReleasingWrapper(ConnectionWrapper[Any]):
    """Gives the connection's lock back where it cannot be opened, for others to try."""

    async def ensure_connection(self) -> None:
        try:
            await super().ensure_connection()
        except BaseException:
            self._lock.release()
            raise


class Client(PortableStatements, SqliteClient):
    """Waits for the file's lock outside the one connection: reads use it meanwhile.

    Only the write whose turn it is waits for the file, and the others for their turn.
    """

    def __init__(self, file_path: str, *, busy_timeout: int, **kwargs: Any) -> None:
        super().__init__(file_path, busy_timeout=0, **kwargs)
        self._patience = busy_timeout / 1000
        self.commits = GroupCommitter(self, self._lock)

    def acquire_connection(self) -> ConnectionWrapper[Any]:
        return _LockReleasingWrapper(self._lock, self)

    async def create_connection(self, with_db: bool) -> None:  # noqa: FBT001 - Tortoise's own
        try:
            await super().create_connection(with_db)
        except BaseException:
            # Half open, it would be used without what its other pragmas ask for, as foreign keys
            await super().close()
            raise

    async def close(self) -> None:
        await self.commits.finished()
        await super().close()

    def deadline(self) -> float:
        """When a call that begins now gives up waiting for the file."""
        return monotonic() + self._patience

    async def retry_while_busy(self, attempt: Callable[[], Awaitable[T]], deadline: float) -> T:
        """Try until the file is free or the deadline has passed."""
        wait = FIRST_WAIT
        while True:
            try:
                return await attempt()
            except errors.Unavailable as error:
                if not errors.is_busy(error) or monotonic() >= deadline:
                    raise
            self.commits.found_busy_at = monotonic()
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
        await self._in_transaction_of_its_own(lambda each: each.execute_many(query, values))

    async def execute_script(self, query: str) -> None:
        await self._in_transaction_of_its_own(lambda each: each.execute_script(query))

    async def fetch(
        self, query: str, values: list[Any] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        return await self.execute_query_dict(query, values)

    async def _execute(self, call: Callable[[], Awaitable[T]], query: str) -> T:
        """Execute one statement, which needs no savepoint: SQLite does it wholly or not at all."""
        if query.lstrip().startswith(_READING):
            return await self.commits.after_shared_commit(
                self.retry_while_busy(call, self.deadline())
            )
        if self.commits.is_busy():
            in_turn = self.commits.after_shared_commit(self._in_turn(call))
            return await self.commits.to_its_end(in_turn)
        async with self.commits.turns:
            return await self.retry_while_busy(call, self.deadline())

    async def _in_turn(self, call: Callable[[], Awaitable[T]]) -> T:
        deadline = self.deadline()
        async with self.commits.turns:
            await self.commits.give_way()
            await self.retry_while_busy(self._begin_shared, deadline)
            return await self.retry_while_busy(call, deadline)

    async def _begin_shared(self) -> None:
        async with self.acquire_connection():
            await self.commits.begin_shared()

    async def _in_transaction_of_its_own(
        self, work: Callable[[TransactionalDBClient], Awaitable[None]]
    ) -> None:
        async def execute() -> None:
            async with self._in_transaction() as transaction:
                await work(transaction)

        await self.commits.to_its_end(execute())

    def pool_connections(self) -> dict[str, int]:
        """There is one, and no pool."""
        return {}

    def _in_transaction(self) -> WriterTransaction:
        return WriterTransaction(Transaction(self), self._lock)


client_class = Client
