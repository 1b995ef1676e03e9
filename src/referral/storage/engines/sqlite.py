"""SQLite: transactions that begin immediately, and statements written as for PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

from tortoise.backends.base.client import (
    ConnectionWrapper,
    TransactionalDBClient,
    TransactionContext,
)
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
)
from tortoise.connection import get_connections

from referral.storage.engines import errors

T = TypeVar("T")

_FIRST_WAIT, _LONGEST_WAIT = 0.005, 0.08  # seconds


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what engines/errors.py has for the driver's errors."""
    try:
        yield
    except errors.SQLITE as error:
        errors.translate_sqlite(error)
        raise


class _Statements:
    """Named queries are written once, for both databases, and errors translated once."""

    async def create_connection(self, with_db: bool) -> None:  # noqa: FBT001 - Tortoise's own
        with _translated():
            await super().create_connection(with_db)  # type: ignore[misc]

    async def execute_insert(self, query: str, values: list[Any]) -> int:
        with _translated():
            row: int = await super().execute_insert(query, values)  # type: ignore[misc]
        return row

    async def execute_query(
        self, query: str, values: list[Any] | None = None
    ) -> tuple[int, Sequence[dict[str, Any]]]:
        with _translated():
            found: tuple[int, Sequence[dict[str, Any]]] = await super().execute_query(  # type: ignore[misc]
                query, values
            )
        return found

    async def execute_query_dict(
        self, query: str, values: list[Any] | None = None
    ) -> list[dict[str, Any]]:
        with _translated():
            rows: list[dict[str, Any]] = await super().execute_query_dict(  # type: ignore[misc]
                query, _bound(query, values or ())
            )
        return rows

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        rows = [_bound(query, row) for row in values]
        with _translated():
            await super().execute_many(query, rows)  # type: ignore[misc]


class Transaction(_Statements, SqliteTransactionWrapper):
    async def begin(self) -> None:
        # A deferred transaction that reads, then writes, fails with "database is locked" as soon
        # as another process wrote in between; an immediate one waits for its turn.
        with _translated():
            await self._connection.execute("BEGIN IMMEDIATE")

    async def commit(self) -> None:
        with _translated():
            await super().commit()

    async def rollback(self) -> None:
        with _translated():
            await super().rollback()

    async def execute_script(self, query: str) -> None:
        # sqlite3's executescript() would commit first
        for statement in _split(query):
            await self.execute_query(statement)


class Opening(SqliteTransactionContext):
    async def __aenter__(self) -> TransactionalDBClient:
        client: Client = self.connection._parent  # noqa: SLF001 - nothing public has it
        return await client.patiently(self._open)

    async def _open(self) -> TransactionalDBClient:
        try:
            return await super().__aenter__()
        except BaseException:
            # Tortoise keeps the lock of a transaction that did not begin, for ever
            self._trxlock.release()
            if hasattr(self, "token"):
                get_connections().reset(self.token)
            raise


class _Acquired(ConnectionWrapper[Any]):
    """Gives the connection's lock back where it cannot be opened, for others to try."""

    async def ensure_connection(self) -> None:
        try:
            await super().ensure_connection()
        except BaseException:
            self._lock.release()
            raise


class Client(_Statements, SqliteClient):
    """Waits for the file's lock outside the one connection: others use it meanwhile.

    SQLite's own wait would hold up whoever only reads, and each writer after the other.
    """

    def __init__(self, file_path: str, *, busy_timeout: int, **kwargs: Any) -> None:
        super().__init__(file_path, busy_timeout=0, **kwargs)
        self._patience = busy_timeout / 1000

    def acquire_connection(self) -> ConnectionWrapper[Any]:
        return _Acquired(self._lock, self)

    async def create_connection(self, with_db: bool) -> None:  # noqa: FBT001 - Tortoise's own
        try:
            await super().create_connection(with_db)
        except BaseException:
            # Half open, it would be used without what its other pragmas ask for, as foreign keys
            await self.close()
            raise

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until the file is free, for as long as we wait for it."""
        deadline, wait = monotonic() + self._patience, _FIRST_WAIT
        while True:
            try:
                return await attempt()
            except errors.Unavailable as error:
                if not errors.is_busy(error) or monotonic() >= deadline:
                    raise
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def execute_insert(self, query: str, values: list[Any]) -> int:
        insert = super().execute_insert
        return await self.patiently(lambda: insert(query, values))

    async def execute_query(
        self, query: str, values: list[Any] | None = None
    ) -> tuple[int, Sequence[dict[str, Any]]]:
        execute = super().execute_query
        return await self.patiently(lambda: execute(query, values))

    async def execute_query_dict(
        self, query: str, values: list[Any] | None = None
    ) -> list[dict[str, Any]]:
        execute = super().execute_query_dict
        return await self.patiently(lambda: execute(query, values))

    async def fetch(
        self, query: str, values: list[Any] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        return await self.execute_query_dict(query, values)

    def pool_connections(self) -> dict[str, int]:
        """There is one, and no pool."""
        return {}

    def _in_transaction(self) -> TransactionContext:
        return Opening(Transaction(self), self._lock)


client_class = Client


def _bound(query: str, values: Sequence[object]) -> Sequence[object] | dict[str, object]:
    """Bind the values to the placeholders of a query: to Tortoise's `?` by position, to `$1` of a
    named query by name, since that is what it is to SQLite. As `?1` it would be neither: Python
    3.12.0 to 3.12.3 warn of it (python/cpython#117995).
    """
    stored = [_stored(value) for value in values]
    if "$1" not in query:
        return stored
    return {str(place): value for place, value in enumerate(stored, 1)}


def _stored(value: object) -> object:
    """The value as Tortoise's own fields store it in SQLite."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value


def _split(script: str) -> Sequence[str]:
    statements, rest = [], ""
    for part in script.split(";"):
        rest += part + ";"
        if sqlite3.complete_statement(rest):
            statements.append(rest)
            rest = ""
    return statements
