"""Tortoise's configuration, from a database URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from referral.storage.engines import urls

APP = "referral"
LISTS = "postgres_lists"
"""The connection for lists, where the URL has one."""
POOL_SIZE = 10
STATEMENT_SECONDS = 10
CONNECT_SECONDS = 5
BUSY_MILLISECONDS = 5000
_SQLITE = "sqlite://"


def sqlite_file(url: str) -> str | None:
    """The path in a `sqlite://PATH` URL: relative, or absolute with a third slash."""
    return unquote(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def of(url: str, *, statement_seconds: int | None = STATEMENT_SECONDS) -> dict[str, Any]:
    """Tortoise's configuration for a `sqlite://`, `postgres://` or `postgresql://` URL.

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
        main, of_lists = urls.split_lists(url)
        credentials = {
            "dsn": main,
            # While the server is away, asyncpg would log each try to keep a connection open
            "minsize": 0,
            "maxsize": POOL_SIZE,
            "command_timeout": statement_seconds,
            "timeout": CONNECT_SECONDS,
        }
        connections = {name: {"engine": engine, "credentials": credentials}}
        if of_lists:
            connections[LISTS] = {"engine": engine, "credentials": credentials | {"dsn": of_lists}}
    # Tortoise keeps prepared statements under the connection's name for as long as the process
    # lives, so two kinds of database never share one.
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
