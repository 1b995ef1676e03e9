"""Which errors of the database mean "not now", and which are bugs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest
from tortoise.exceptions import IntegrityError

from locks import on_postgres, on_sqlite, other_connection
from referral.service import profiles
from referral.storage import configuration, database
from support import Service, refused, running

BUGS = [
    FileNotFoundError(2, "No such file", "template.html"),
    PermissionError("secret.key"),
    ConnectionResetError("of another server"),
    TimeoutError("of another server"),
    KeyError("phone"),
    asyncpg.InterfaceError("the server expects 2 arguments for this query, 1 was passed"),
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: type(bug).__name__)
async def test_a_bug_is_a_500(
    service: Service, monkeypatch: pytest.MonkeyPatch, bug: Exception
) -> None:
    """An error of the system or of another server is one too, if it is not the database's."""
    person = await service.sign_in()

    async def broken(*_: object, **__: object) -> None:
        raise bug

    monkeypatch.setattr(profiles, "read", broken)
    response = await person.call("GET", "/profile")
    problem = refused(response, 500, "internal_error")
    assert "retry-after" not in response.headers
    assert str(bug) not in json.dumps(problem)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nothing FROM users",
        "SELECT FROM WHERE",
        "SELECT id FROM users WHERE id = $1 AND phone = $2",
    ],
)
@pytest.mark.parametrize("in_transaction", [False, True])
async def test_a_wrong_statement_is_a_bug(
    service: Service, sql: str, *, in_transaction: bool
) -> None:
    del service

    async def ask() -> object:
        return await database.query(sql, *([1] if "$1" in sql else []))

    with pytest.raises(Exception, match=r".") as raised:
        await (database.transaction(ask) if in_transaction else ask())
    assert not isinstance(raised.value, database.Unavailable)


@pytest.mark.parametrize("in_transaction", [False, True])
async def test_a_missing_table_is_unavailable(service: Service, *, in_transaction: bool) -> None:
    """A migration may be running, and without the counters the response must be 503."""
    del service

    async def ask() -> object:
        return await database.query("SELECT 1 FROM nowhere")

    with pytest.raises(database.MissingTable):
        await (database.transaction(ask) if in_transaction else ask())


async def test_a_constraint_violation_is_an_integrity_error(service: Service) -> None:
    del service
    sql = "INSERT INTO past_activations VALUES ('a', '2999-01-01 00:00:00+00:00')"
    await database.query(sql)
    with pytest.raises(IntegrityError):
        await database.query(sql)


@on_postgres
@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        ("08006", database.Unavailable),
        ("08P01", database.Unavailable),  # from PgBouncer without a server
        ("25006", database.Unavailable),
        ("40001", database.Conflict),
        ("40P01", database.Conflict),
        ("42501", database.Unavailable),
        ("53100", database.Unavailable),
        ("53300", database.Unavailable),
        ("55P03", database.Unavailable),
        ("57014", database.Unavailable),
        ("57P01", database.Unavailable),
        ("58030", database.Unavailable),
        ("22012", asyncpg.DivisionByZeroError),
        ("P0001", asyncpg.RaiseError),
        ("XX000", asyncpg.InternalServerError),
    ],
)
async def test_each_sqlstate_is_translated(
    service: Service, raised: str, kind: type[Exception]
) -> None:
    del service
    sql = f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{raised}'; END $$"

    async def fail() -> None:
        await database.query(sql)

    with pytest.raises(kind):
        await database.query(sql)
    with pytest.raises(kind):
        await database.transaction(fail)
    assert await database.query("SELECT 1 AS one") == [{"one": 1}]


@on_postgres
async def test_a_read_only_server_is_unavailable(service: Service) -> None:
    """A former primary is read-only after a failover."""
    del service

    async def write() -> None:
        await database.query("SET TRANSACTION READ ONLY")
        await database.query("UPDATE users SET name = 'Anna'")

    with pytest.raises(database.Unavailable, match="read-only"):
        await database.transaction(write)
    assert await database.query("SELECT 1 AS one") == [{"one": 1}]


@on_postgres
async def test_a_lost_connection_is_unavailable(database_url: str, service: Service) -> None:
    del service
    async with other_connection(database_url) as other:
        for ask in (_sleep, lambda: database.transaction(_sleep)):
            waiting = asyncio.create_task(ask())
            await asyncio.sleep(0.2)
            await other.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            with pytest.raises(database.Unavailable):
                await waiting


@on_postgres
async def test_a_slow_statement_is_timed_out(database_url: str) -> None:
    await database.connect(database_url, statement_seconds=1)
    try:
        with pytest.raises(database.TimedOut):
            await _sleep()
        with pytest.raises(database.TimedOut):
            await database.transaction(_sleep)
    finally:
        await database.disconnect()


async def _sleep() -> None:
    await database.query("SELECT pg_sleep(30)")


@asynccontextmanager
async def lock_file(path: str) -> AsyncIterator[None]:
    """Wait until the file is not locked, then hold its lock during the block."""
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        async with asyncio.timeout(5):
            while not other.in_transaction:
                with suppress(sqlite3.OperationalError):
                    other.execute("BEGIN IMMEDIATE")
                await asyncio.sleep(0.01)
        yield
    finally:
        other.close()


@on_sqlite
async def test_a_busy_file_is_unavailable(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "BUSY_MILLISECONDS", 100)
    async with running(database_url) as service:
        person = await service.sign_in()
        async with lock_file(database_url.removeprefix("sqlite://")):
            response = await person.call("PATCH", "/profile", json={"name": "Anna"})
            refused(response, 503, "storage_unavailable")
