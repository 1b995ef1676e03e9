"""The connection to the database, statements and transactions.

- A statement is written once, as SQL with `$1` placeholders. The clients in `engines/` make it work
  on PostgreSQL and on SQLite.
- An error that means "not now" is raised as `Unavailable` or a subclass of it; `engines/errors.py`
  decides which do. Clients get 503 and may repeat the request. Every other error is a bug and is
  raised as it is.
- A transaction is a function passed to `transaction`, which runs it again if it conflicts with
  another transaction. So the function changes nothing but the database; effects that must happen
  only once, after the commit, go to `after_commit`.
- A transaction runs in a task of its own and is never cancelled. If it were cancelled while it
  begins, it would keep its connection, or SQLite's writer lock, until the process ends.
- `query_replica` may read from a standby that lags behind, so its rows decide nothing.

A process is connected to one database. That is module state here because it is in Tortoise too.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing
from contextvars import ContextVar
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
from referral.storage.configuration import APP, REPLICA, STATEMENT_SECONDS, sqlite_file
from referral.storage.engines.errors import Conflict, MissingTable, TimedOut, Unavailable
from referral.storage.engines.tasks import TaskSet

__all__ = ["Conflict", "MissingTable", "TimedOut", "Unavailable"]

T = TypeVar("T")
Row: TypeAlias = Mapping[str, Any]
"""Values by column name."""

_MAX_ATTEMPTS = 5

_tasks = TaskSet()
_commit_callbacks: ContextVar[list[Callable[[], None]] | None] = ContextVar(
    "commit_callbacks", default=None
)
"""The callbacks of the current transaction; None outside one."""
_active: ActiveDatabase


@unique
class Lock(IntEnum):
    """Keys of PostgreSQL's advisory locks. Arbitrary numbers that nothing else here uses."""

    MIGRATIONS = 7_271_455_120_301
    DATA_KEYS = 7_271_455_120_302
    ADMINS = 7_271_455_120_303
    IMPORTS = 7_271_455_120_304
    SIGNING_KEYS = 7_271_455_120_305
    REWARD_RULES = 7_271_455_120_306


@dataclass(frozen=True, slots=True)
class ActiveDatabase:
    """The database that this process is connected to.

    name: Tortoise's name of the connection. config: its configuration. client: its client outside
    transactions.
    """

    name: str
    config: dict[str, Any]
    client: BaseDBAsyncClient


class SetupError(Exception):
    """The database cannot be used until the operator changes something. The text says what."""


async def connect(url: str, *, statement_seconds: int | None = STATEMENT_SECONDS) -> None:
    """Connect this process to the database at a URL.

    statement_seconds: how long a statement may take on PostgreSQL; None for no limit. Raises
    SetupError.
    """
    global _active  # noqa: PLW0603 - Tortoise's own state is global too
    if (file := sqlite_file(url)) is not None:
        _check_file(file)
    try:
        config = configuration.tortoise_config(url, statement_seconds=statement_seconds)
    except ValueError as error:
        raise SetupError(_explain(error)) from error
    # The global fallback, because a web server handles requests outside the context of its start
    await Tortoise.init(config=config, _enable_global_fallback=True)
    name = config["apps"][APP]["default_connection"]
    _active = ActiveDatabase(name, config, get_connection(name))
    try:
        await connection().execute_query_dict("SELECT 1 FROM (SELECT 1) AS one")
    except (Unavailable, asyncpg.PostgresError, sqlite3.Error, OSError, ValueError) as error:
        # A connection that is half open would keep the process from ending
        await Tortoise.close_connections()
        raise SetupError(_explain(error)) from error


async def disconnect() -> None:
    """Wait for the running transactions and tasks, then close all connections."""
    await finish_tasks()
    await Tortoise.close_connections()


def connection() -> BaseDBAsyncClient:
    """Return the client of the current transaction, or outside one, of the database."""
    return get_connection(_active.name)


def pool_connections() -> dict[str, int]:
    """Count this process's connections by state: `idle` and `in use`. Empty on SQLite."""
    client: Any = connection()
    counts: dict[str, int] = client.pool_connections()
    return counts


def apps() -> dict[str, Any]:
    """Return the part of Tortoise's configuration that names the models and their migrations."""
    config: dict[str, Any] = _active.config["apps"]
    return config


def is_postgres() -> bool:
    return _active.name == "postgres"


finish_tasks = _tasks.wait
"""Wait for the running transactions and tasks."""

shielded = _tasks.shielded
"""Await work in a task of its own, which goes on if the caller is cancelled."""

spawn = _tasks.spawn
"""Start work in a task of its own. `disconnect` waits for it."""


async def transaction(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in a transaction, and again in a new one if it conflicts with another.

    Raises Conflict if the last attempt conflicts too.
    """
    return await shielded(_retry_conflicts(work))


def after_commit(callback: Callable[[], None]) -> None:
    """Call `callback` once the current transaction is committed, or outside one, immediately."""
    callbacks = _commit_callbacks.get()
    if callbacks is None:
        callback()
    else:
        callbacks.append(callback)


async def advisory_lock(lock: Lock) -> None:
    """Wait for the lock, then hold it until the transaction ends."""
    # On SQLite every transaction is immediate, so each already excludes all others
    if is_postgres():
        await query("SELECT pg_advisory_xact_lock($1)", lock.value)


async def query(sql: str, *values: object) -> list[dict[str, Any]]:
    """Run a statement with `$1` placeholders and return its rows."""
    # Tortoise takes 4 microseconds to find the client of a transaction; outside one it is known
    client = _active.client if _commit_callbacks.get() is None else connection()
    return await client.execute_query_dict(sql, list(values))


async def query_replica(sql: str, *values: object) -> Sequence[Row]:
    """Read rows of a list or of statistics, from a standby if DATABASE_URL has `lists=standby`.

    A standby lags behind, so decide nothing by these rows. Call it outside transactions.
    """
    name = REPLICA if REPLICA in _active.config["connections"] else _active.name
    client: Any = get_connection(name)
    rows: Sequence[Row] = await client.fetch(sql, list(values))
    return rows


async def query_many(sql: str, rows: Iterable[Sequence[object]]) -> None:
    """Run a statement for each row of values, sent together. Call it in a transaction."""
    await connection().execute_many(sql, [list(row) for row in rows])


def _check_file(path: str) -> None:
    """Open and close the file. Raises SetupError.

    If the driver failed to open it instead, its thread would keep the process from ending. A new
    file is only for its owner, because it holds phones; SQLite gives the files beside it the same
    rights.
    """
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA schema_version")
    except OSError as error:
        raise SetupError(_explain(sqlite3.OperationalError())) from error
    except sqlite3.Error as error:
        raise SetupError(_explain(error)) from error


def _explain(error: Exception) -> str:
    match error.__cause__ if isinstance(error, Unavailable) else error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return "it refuses the user or the password in DATABASE_URL"
        case DBConnectionError() | asyncpg.InvalidCatalogNameError():
            return (
                "no database has the name in DATABASE_URL: create it, for example with "
                "`createdb NAME`"
            )
        case sqlite3.OperationalError() | OperationalError():
            return (
                "the file in DATABASE_URL cannot be opened: does its folder exist, and is it "
                "writable?"
            )
        case sqlite3.DatabaseError():
            return "the file in DATABASE_URL is not an SQLite database"
        case OSError() | asyncpg.PostgresError() | asyncpg.InterfaceError() as cause:
            name, advice = type(cause).__name__, "is it running there?"
            if isinstance(cause, socket.gaierror):
                advice = "check the host, and percent-encode @ : / # ? in the password"
            return f"the server in DATABASE_URL cannot be used ({name}): {advice}"
        case _:
            return "DATABASE_URL cannot be read: check how it is written"


async def _retry_conflicts(work: Callable[[], Awaitable[T]]) -> T:
    for _ in range(_MAX_ATTEMPTS - 1):
        try:
            return await _attempt(work)
        except Conflict:
            continue
    return await _attempt(work)


async def _attempt(work: Callable[[], Awaitable[T]]) -> T:
    callbacks: list[Callable[[], None]] = []
    before = _commit_callbacks.set(callbacks)
    try:
        async with in_transaction(_active.name):
            result = await work()
    finally:
        _commit_callbacks.reset(before)
    for callback in callbacks:
        callback()
    return result
