"""Tortoise's configuration for a database URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from referral.storage.engines import urls

APP = "referral"
REPLICA = "postgres_replica"
"""The name of the connection for lists, if the URL has `lists=standby`."""
POOL_SIZE = 10
STATEMENT_SECONDS = 10
CONNECT_SECONDS = 5
BUSY_MILLISECONDS = 5000
"""How long a write waits for the lock of SQLite's file."""
_SQLITE = "sqlite://"


def sqlite_file(url: str) -> str | None:
    """Return the path in a `sqlite://PATH` URL: relative, or absolute with a third slash."""
    return unquote(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def tortoise_config(
    url: str, *, statement_seconds: int | None = STATEMENT_SECONDS
) -> dict[str, Any]:
    """Return Tortoise's configuration for a `sqlite://`, `postgres://` or `postgresql://` URL.

    Raises ValueError.
    """
    file = sqlite_file(url)
    if file is not None:
        name, engine = "sqlite", "referral.storage.engines.sqlite"
        credentials: dict[str, Any] = {
            "file_path": file,
            "busy_timeout": BUSY_MILLISECONDS,
        }
        connections = {name: {"engine": engine, "credentials": credentials}}
    else:
        name, engine = "postgres", "referral.storage.engines.asyncpg"
        main, replica = urls.split_replica(url)
        credentials = {
            "dsn": main,
            # With a minimum, asyncpg would log each failed try to connect while the server is away
            "minsize": 0,
            "maxsize": POOL_SIZE,
            "command_timeout": statement_seconds,
            "timeout": CONNECT_SECONDS,
        }
        connections = {name: {"engine": engine, "credentials": credentials}}
        if replica:
            connections[REPLICA] = {"engine": engine, "credentials": credentials | {"dsn": replica}}
    # The name tells the two databases apart because Tortoise caches prepared statements by the
    # connection's name for as long as the process lives
    return {
        "connections": connections,
        "apps": {
            APP: {
                "models": ["referral.storage.models"],
                "migrations": "referral.storage.migrations",
                "default_connection": name,
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }
