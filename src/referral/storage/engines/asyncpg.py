"""PostgreSQL: connected by the URL as it is, without a reset query at every release."""

from __future__ import annotations

from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    TransactionalDBClient,
    TransactionContext,
    TransactionContextPooled,
)


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    def get_reset_query(self) -> str:
        # The pool would send it after every statement: half of a short query's time. Nothing
        # here sets session state: locks are taken for a transaction, settings never.
        return ""


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
        return Opening(TransactionWrapper(self), self._pool_init_lock)

    def __init__(self, dsn: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dsn = dsn

    async def create_pool(self, **kwargs: Any) -> asyncpg.Pool:
        # asyncpg reads what a DSN may hold (sslmode, a socket's folder, several hosts) better
        # than Tortoise, which takes it apart
        for part in ("host", "port", "user", "database", "password"):
            del kwargs[part]
        return await asyncpg.create_pool(self._dsn, **kwargs)


client_class = Client
