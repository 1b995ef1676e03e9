"""The errors of both databases that mean "not now", as one exception of ours.

Everything else that a driver raises is a bug of ours, and stays as it is.
"""

from __future__ import annotations

import re
import sqlite3

import asyncpg
from tortoise.exceptions import (
    DBConnectionError,
    IntegrityError,
    OperationalError,
    TransactionManagementError,
)


class Unavailable(Exception):  # noqa: N818 - a state of the database, not an error of ours
    """The database cannot do this now. Nothing was lost, and the same call works later."""


class TimedOut(Unavailable):
    """A statement, or the wait for a connection, took too long."""


class MissingTable(Unavailable):
    """A table is not there: the database lacks a migration, or somebody took it away."""


class Conflict(Unavailable):
    """Another transaction is in the way. Begin this one again."""


_POSTGRES_CONFLICTS = (
    asyncpg.DeadlockDetectedError,
    # Also a standby that ends a long read, because its primary changed what it reads
    asyncpg.SerializationError,
    # The plan of a prepared statement, after a migration; asyncpg prepares it again only outside
    # a transaction
    asyncpg.InvalidCachedStatementError,
)
_POSTGRES_UNAVAILABLE = (
    # The network, and time-outs of ours
    OSError,
    asyncpg.PostgresConnectionError,
    # A connection that the server closed while it was idle, used before its end arrived
    asyncpg.InternalClientError,
    # It starts, stops, or cancelled the statement
    asyncpg.OperatorInterventionError,
    # Its disk is full, or it has no more connections
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    # It is a standby by now
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # New connections only: somebody changed the password or the name of the database
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # Somebody took rights away from our role
    asyncpg.InsufficientPrivilegeError,
    DBConnectionError,
)
# asyncpg has one class for connections that are gone and for wrong uses of it
_GONE = re.compile(r"clos(ed|ing)|cancelling|released back")

_SQLITE_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)

POSTGRES_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DBConnectionError,
    OSError,
)
"""What `translate_postgres` takes."""

SQLITE_ERRORS = (sqlite3.Error, OperationalError)
"""What `translate_sqlite` takes."""


def translate_postgres(error: Exception) -> None:
    """Raise what stands for an error of asyncpg; return if it is a bug."""
    if isinstance(error, DBConnectionError) and isinstance(error.__cause__, Exception):
        # Tortoise's, of its own making
        error = error.__cause__
    if isinstance(error, _POSTGRES_CONFLICTS):
        raise Conflict(_text(error)) from error
    if isinstance(error, asyncpg.UndefinedTableError):
        raise MissingTable(_text(error)) from error
    if isinstance(error, TimeoutError):
        raise TimedOut(_text(error)) from error
    if isinstance(error, _POSTGRES_UNAVAILABLE) or (
        isinstance(error, asyncpg.InterfaceError) and _GONE.search(str(error))
    ):
        raise Unavailable(_text(error)) from error
    # As Tortoise does, which knows its own classes only
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        raise IntegrityError(error) from error
    if isinstance(error, asyncpg.InvalidTransactionStateError):
        raise TransactionManagementError(error) from error


def translate_sqlite(error: Exception) -> None:
    """Raise what stands for an error of sqlite3, also one that Tortoise has wrapped; return if it
    is a bug.
    """
    found = error.args[0] if isinstance(error, OperationalError) and error.args else error
    if _primary_code(found) == sqlite3.SQLITE_ERROR and "no such table" in str(found):
        raise MissingTable(_text(found)) from found
    if _primary_code(found) in _SQLITE_UNAVAILABLE:
        raise Unavailable(_text(found)) from found


def is_busy(error: Unavailable) -> bool:
    """Whether another process holds SQLite's lock."""
    return _primary_code(error.__cause__) == sqlite3.SQLITE_BUSY


def _primary_code(error: object) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _text(error: Exception) -> str:
    # Some have none, as asyncio's TimeoutError
    return str(error) or type(error).__name__
