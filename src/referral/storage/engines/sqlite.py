"""SQLite: transactions that begin immediately, and statements written as for PostgreSQL."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from tortoise.backends.base.client import TransactionalDBClient, TransactionContext
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
)
from tortoise.exceptions import OperationalError


class _Statements:
    """Named queries are written once, for both databases."""

    async def execute_query_dict(
        self, query: str, values: list[Any] | None = None
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await super().execute_query_dict(  # type: ignore[misc]
            _numbered(query), [_stored(value) for value in values or ()]
        )
        return rows

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        rows = [[_stored(value) for value in row] for row in values]
        await super().execute_many(_numbered(query), rows)  # type: ignore[misc]


class Transaction(_Statements, SqliteTransactionWrapper):
    async def begin(self) -> None:
        # A deferred transaction that reads, then writes, fails with "database is locked" as soon
        # as another process wrote in between; an immediate one waits for its turn.
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise OperationalError(error) from error

    async def execute_script(self, query: str) -> None:
        # sqlite3's executescript() would commit first
        for statement in _split(query):
            await self.execute_query(statement)


class Opening(SqliteTransactionContext):
    async def __aenter__(self) -> TransactionalDBClient:
        try:
            return await super().__aenter__()
        except Exception:
            # Tortoise keeps the lock of a transaction that did not begin, for ever
            self._trxlock.release()
            raise


class Client(_Statements, SqliteClient):
    def _in_transaction(self) -> TransactionContext:
        return Opening(Transaction(self), self._lock)


client_class = Client


@lru_cache(maxsize=256)
def _numbered(query: str) -> str:
    return re.sub(r"\$(\d+)", r"?\1", query)


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
