"""PostgreSQL: connected by the URL as it is, without a reset query at every release."""

from __future__ import annotations

from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    def get_reset_query(self) -> str:
        # The pool would send it after every statement: half of a short query's time. Nothing
        # here sets session state: locks are taken for a transaction, settings never.
        return ""


class Client(AsyncpgDBClient):
    connection_class = Connection

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
