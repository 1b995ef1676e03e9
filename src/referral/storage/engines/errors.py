"""Translate the drivers' errors.

Errors that mean "not now" become Unavailable or a subclass. Every other error of a driver is a bug
in this service and stays as it is, except those that Tortoise has classes for.
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


class Unavailable(Exception):  # noqa: N818 - a state of the database
    """The database cannot do this now. The call may be repeated later.

    Nothing was changed, unless the connection was lost during the commit.
    """


class TimedOut(Unavailable):
    """A statement, or the wait for a connection, took too long."""


class MissingTable(Unavailable):
    """A table does not exist: the database lacks a migration, or somebody dropped the table."""


class Conflict(Unavailable):
    """The transaction conflicted with another and was rolled back. Run it again."""


_POSTGRES_CONFLICTS = (
    asyncpg.DeadlockDetectedError,
    # Also raised by a standby that ends a long read because its primary changed the rows
    asyncpg.SerializationError,
    # A prepared statement whose plan is outdated after a migration. asyncpg prepares it again, but
    # only outside transactions
    asyncpg.InvalidCachedStatementError,
)
_POSTGRES_UNAVAILABLE = (
    # Network errors, and time-outs of this process
    OSError,
    asyncpg.PostgresConnectionError,
    # An idle connection that the server has closed, used before the client noticed
    asyncpg.InternalClientError,
    # The server starts, stops or has cancelled the statement
    asyncpg.OperatorInterventionError,
    # The disk is full, or there are too many connections
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    # The server has become a standby
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # For new connections only: the password or the name of the database was changed
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    DBConnectionError,
)
# asyncpg has one class for closed connections and for wrong usage
_CONNECTION_CLOSED = re.compile(r"clos(ed|ing)|cancelling|released back")

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
"""The errors to pass to `translate_postgres`."""

SQLITE_ERRORS = (sqlite3.Error, OperationalError)
"""The errors to pass to `translate_sqlite`."""


def translate_postgres(error: Exception) -> None:
    """Raise the translation of an error of asyncpg. Return if there is none."""
    if isinstance(error, DBConnectionError) and isinstance(error.__cause__, Exception):
        # Tortoise's wrapper
        error = error.__cause__
    if isinstance(error, _POSTGRES_CONFLICTS):
        raise Conflict(_text(error)) from error
    if isinstance(error, asyncpg.UndefinedTableError):
        raise MissingTable(_text(error)) from error
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        advice = "let its role own the database (`ALTER DATABASE name OWNER TO role`)"
        raise Unavailable(f"{_text(error)}: {advice}") from error
    if isinstance(error, TimeoutError):
        raise TimedOut(_text(error)) from error
    if isinstance(error, _POSTGRES_UNAVAILABLE) or (
        isinstance(error, asyncpg.InterfaceError) and _CONNECTION_CLOSED.search(str(error))
    ):
        raise Unavailable(_text(error)) from error
    # As in Tortoise's own translation, which this replaces
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        raise IntegrityError(error) from error
    if isinstance(error, asyncpg.InvalidTransactionStateError):
        raise TransactionManagementError(error) from error


def translate_sqlite(error: Exception) -> None:
    """Raise the translation of an error of sqlite3, or of Tortoise's wrapper. Return if there is
    none.
    """
    found = error.args[0] if isinstance(error, OperationalError) and error.args else error
    if _primary_code(found) == sqlite3.SQLITE_ERROR and "no such table" in str(found):
        raise MissingTable(_text(found)) from found
    if _primary_code(found) in _SQLITE_UNAVAILABLE:
        raise Unavailable(_text(found)) from found


def is_busy(error: Unavailable) -> bool:
    """Return whether another process holds the lock of SQLite's file."""
    return _primary_code(error.__cause__) == sqlite3.SQLITE_BUSY


def _primary_code(error: object) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _text(error: Exception) -> str:
    # Some have no text, like asyncio's TimeoutError
    return str(error) or type(error).__name__
