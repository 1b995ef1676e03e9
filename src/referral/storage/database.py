"""The connection to the database, transactions, and which failures mean "not now"."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import closing
from contextvars import Context, ContextVar
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Any, TypeAlias, TypeVar

import asyncpg
from tortoise import Tortoise
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection
from tortoise.exceptions import DBConnectionError, OperationalError
from tortoise.transactions import in_transaction

from referral.storage import configuration
from referral.storage.configuration import APP, LISTS, STATEMENT_SECONDS, sqlite_file
from referral.storage.engines.errors import Conflict, MissingTable, TimedOut, Unavailable

__all__ = ["Conflict", "MissingTable", "TimedOut", "Unavailable"]

T = TypeVar("T")
Row: TypeAlias = Mapping[str, Any]
"""Values by column name."""

_ATTEMPTS = 5

_running: set[asyncio.Task[Any]] = set()
_afterwards: ContextVar[list[Callable[[], None]] | None] = ContextVar("afterwards", default=None)
_connected: Connected


@unique
class Lock(IntEnum):
    """What one transaction at a time does. Any numbers, as long as nobody else here uses them."""

    MIGRATIONS = 7_271_455_120_301
    DATA_KEYS = 7_271_455_120_302
    ADMINS = 7_271_455_120_303
    IMPORTS = 7_271_455_120_304


@dataclass(frozen=True, slots=True)
class Connected:
    """What this process is connected to: Tortoise's connection name and its configuration."""

    name: str
    config: dict[str, Any]
    pool: BaseDBAsyncClient


class Unusable(Exception):  # noqa: N818 - of the database, and what its text says
    """The database cannot be connected to. The text says why and what to do."""


async def connect(url: str, *, statement_seconds: int | None = STATEMENT_SECONDS) -> None:
    """Connect this process. statement_seconds: how long one may take. Raises Unusable."""
    global _connected  # noqa: PLW0603 - Tortoise's own state is as global
    if (file := sqlite_file(url)) is not None:
        _probe(file)
    try:
        tortoise = configuration.of(url, statement_seconds=statement_seconds)
    except ValueError as error:
        raise Unusable(_explained(error)) from error
    # The global fallback: a web server's requests run outside the context of its start-up
    await Tortoise.init(config=tortoise, _enable_global_fallback=True)
    name = tortoise["apps"][APP]["default_connection"]
    _connected = Connected(name, tortoise, get_connection(name))
    try:
        await connection().execute_query_dict("SELECT 1 FROM (SELECT 1) AS one")
    except (Unavailable, asyncpg.PostgresError, sqlite3.Error, OSError, ValueError) as error:
        # What connected half would keep the process from ending
        await Tortoise.close_connections()
        raise Unusable(_explained(error)) from error


async def disconnect() -> None:
    """Close every connection, once the transactions under way have ended."""
    if _running:
        await asyncio.wait(_running)
    await Tortoise.close_connections()


def connection() -> BaseDBAsyncClient:
    """The current transaction's connection, or outside one, the pool."""
    return get_connection(_connected.name)


def pool_connections() -> dict[str, int]:
    """Connections of this process, by state; none where there is no pool."""
    client: Any = connection()
    found: dict[str, int] = client.pool_connections()
    return found


def apps() -> dict[str, Any]:
    """Where Tortoise finds the models and their migrations."""
    found: dict[str, Any] = _connected.config["apps"]
    return found


def is_postgres() -> bool:
    return _connected.name == "postgres"


async def transaction(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in a transaction, again when it conflicts with another.

    A transaction that is cancelled while it opens would keep its connection, or SQLite's lock,
    for ever: so it runs to its end.
    """
    return await shielded(_attempts(work))


async def shielded(work: Coroutine[Any, Any, T]) -> T:
    """Do `work` in a task of its own, whatever becomes of the request that asked for it."""
    return await asyncio.shield(spawn(work))


def spawn(work: Coroutine[Any, Any, T], *, context: Context | None = None) -> asyncio.Task[T]:
    """Do `work` beside what is under way. The connection stays until it has ended."""
    task = asyncio.create_task(work, context=context)
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def after_commit(tell: Callable[[], None]) -> None:
    """Do this once the transaction under way is committed; where there is none, now."""
    waiting = _afterwards.get()
    if waiting is None:
        tell()
    else:
        waiting.append(tell)


async def advisory_lock(lock: Lock) -> None:
    """Wait until no other transaction holds the lock, then hold it."""
    # SQLite's immediate transaction is such a lock already
    if is_postgres():
        await query("SELECT pg_advisory_xact_lock($1)", lock.value)


async def query(sql: str, *values: object) -> list[dict[str, Any]]:
    """The rows of one statement, with `$1` placeholders for either database."""
    # Outside a transaction the pool is known, and Tortoise takes 4 microseconds to look it up
    client = _connected.pool if _afterwards.get() is None else connection()
    return await client.execute_query_dict(sql, list(values))


async def query_replica(sql: str, *values: object) -> Sequence[Row]:
    """Read rows of a list or of statistics: on a standby if DATABASE_URL says `lists=standby`.

    A standby lags behind, so no decision may rest on these rows. Call it outside transactions.
    """
    name = LISTS if LISTS in _connected.config["connections"] else _connected.name
    client: Any = get_connection(name)
    rows: Sequence[Row] = await client.fetch(sql, list(values))
    return rows


async def query_many(sql: str, rows: Iterable[Sequence[object]]) -> None:
    """One statement for each row of values, sent together. To be called in a transaction."""
    await connection().execute_many(sql, [list(row) for row in rows])


def _probe(path: str) -> None:
    """Open the file once, here: the driver's thread would outlive its failure."""
    try:
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        raise Unusable(_explained(error)) from error


def _explained(error: Exception) -> str:
    match error.__cause__ if isinstance(error, Unavailable) else error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return "it refuses the user or the password in DATABASE_URL"
        case DBConnectionError() | asyncpg.InvalidCatalogNameError():
            return "there is none of the name in DATABASE_URL: make it, as with `createdb NAME`"
        case sqlite3.OperationalError() | OperationalError():
            return "the file in DATABASE_URL cannot be opened: is its folder there, and writable?"
        case sqlite3.DatabaseError():
            return "the file in DATABASE_URL is no SQLite database"
        case OSError() | asyncpg.PostgresError() | asyncpg.InterfaceError() as cause:
            return f"nothing answers at DATABASE_URL ({type(cause).__name__}): is it running there?"
        case _:
            return "DATABASE_URL cannot be read: check how it is written"


async def _attempts(work: Callable[[], Awaitable[T]]) -> T:
    for _ in range(_ATTEMPTS - 1):
        try:
            return await _once(work)
        except Conflict:
            continue
    return await _once(work)


async def _once(work: Callable[[], Awaitable[T]]) -> T:
    waiting: list[Callable[[], None]] = []
    before = _afterwards.set(waiting)
    try:
        async with in_transaction(_connected.name):
            done = await work()
    finally:
        _afterwards.reset(before)
    for tell in waiting:
        tell()
    return done


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        # Read, so that nobody is told of it when the request that would have is gone
        task.exception()
