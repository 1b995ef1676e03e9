"""Group commit on SQLite: transactions stay atomic, and calls return after the COMMIT."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tortoise.exceptions import IntegrityError

from processes import environment
from referral.storage import database
from referral.storage.engines import sqlite_commits
from support import Service

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

TOGETHER = 20
# A counter that is not refilled for long, so that housekeeping does not delete it
_INSERT = f"INSERT INTO counters (key, tat) VALUES ($1, {1 << 60})"  # noqa: S608 - our own number


def writing(key: str, *, fails: bool = False) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        await database.query(_INSERT, f"{key} one")
        await asyncio.sleep(0)
        await database.query(_INSERT, f"{key} two")
        if fails:
            raise KeyError(key)

    return work


def failing_commit(execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return the driver's execute() with an I/O error at each COMMIT."""

    async def execute_or_fail(sql: str, *values: Any) -> Any:
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return await execute(sql, *values)

    return execute_or_fail


def driver() -> Any:
    """Return the driver's connection."""
    client: Any = database.connection()
    return client._connection  # noqa: SLF001 - see docs/private-members.md


def keys_in(url: str) -> set[str]:
    """Return what another connection sees, which is what is committed."""
    with closing(sqlite3.connect(url.removeprefix("sqlite://"))) as file:
        return {key for (key,) in file.execute("SELECT key FROM counters")}


@pytest.fixture
async def statements(service: Service) -> AsyncIterator[list[str]]:
    """The statements that SQLite runs from now on."""
    del service
    executed: list[str] = []
    await driver().set_trace_callback(executed.append)
    yield executed
    await driver().set_trace_callback(None)


async def test_an_uncontended_transaction_has_no_savepoint(database_url: str) -> None:
    """An uncontended statement has not even a transaction."""
    await database.connect(database_url)
    try:
        executed: list[str] = []
        await driver().set_trace_callback(executed.append)
        await database.transaction(writing("lone"))
        await database.query(_INSERT, "a lone statement")
        steps = [each.split()[0] for each in executed]
        assert steps == ["BEGIN", "INSERT", "INSERT", "COMMIT", "INSERT"]
    finally:
        await database.disconnect()


async def test_transactions_that_wait_share_a_commit(
    database_url: str, statements: list[str]
) -> None:
    names = [f"shared {place}" for place in range(TOGETHER)]
    await asyncio.gather(*(database.transaction(writing(name)) for name in names))
    assert statements.count("COMMIT") < TOGETHER / 2
    assert {f"{name} {half}" for name in names for half in ("one", "two")} <= keys_in(database_url)


async def test_statements_that_wait_share_a_commit(statements: list[str]) -> None:
    await asyncio.gather(*(database.query(_INSERT, f"statement {i}") for i in range(TOGETHER)))
    assert statements.count("COMMIT") < TOGETHER / 2


async def test_a_group_is_committed_in_time(
    statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a group's time is over, the next writer commits it and begins another transaction."""
    monkeypatch.setattr(sqlite_commits, "GROUP_SECONDS", 0)
    await asyncio.gather(*(database.transaction(writing(f"due {i}")) for i in range(TOGETHER)))
    assert statements.count("COMMIT") >= TOGETHER / 2


@pytest.mark.parametrize("failing", [0, 1, TOGETHER - 1])
async def test_a_failed_member_is_rolled_back_by_itself(
    database_url: str, service: Service, failing: int
) -> None:
    del service
    works = [writing(f"of {i}", fails=i == failing) for i in range(TOGETHER)]
    found = await asyncio.gather(*map(database.transaction, works), return_exceptions=True)
    assert [isinstance(each, KeyError) for each in found] == [i == failing for i in range(TOGETHER)]
    seen = keys_in(database_url)
    for i in range(TOGETHER):
        assert {f"of {i} one", f"of {i} two"} & seen == (
            set() if i == failing else {f"of {i} one", f"of {i} two"}
        )


async def test_a_constraint_violation_fails_by_itself(database_url: str, service: Service) -> None:
    del service
    await database.query(_INSERT, "taken")
    keys = ["first", "taken", "last"]
    found = await asyncio.gather(
        *(database.query(_INSERT, key) for key in keys), return_exceptions=True
    )
    assert [type(each) for each in found] == [list, IntegrityError, list]
    assert {"first", "last"} <= keys_in(database_url)


async def test_calls_return_after_the_commit(database_url: str, service: Service) -> None:
    """Transactions, single statements and concurrent reads do."""
    del service

    async def write(key: str) -> None:
        await database.transaction(writing(key))
        assert f"{key} one" in keys_in(database_url)

    async def write_statement(key: str) -> None:
        await database.query(_INSERT, key)
        assert key in keys_in(database_url)

    async def read() -> None:
        rows = await database.query("SELECT key FROM counters")
        assert {row["key"] for row in rows} <= keys_in(database_url)

    calls = [
        call for i in range(TOGETHER) for call in (write(f"a{i}"), write_statement(f"b{i}"), read())
    ]
    await asyncio.gather(*calls)


@pytest.mark.parametrize("lost", ["ROLLBACK", "COMMIT of the disk"])
async def test_a_failed_commit_fails_every_member(
    database_url: str, service: Service, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """It does too if SQLite has rolled everything back before, as on a full disk."""
    del service
    connection = driver()

    async def lose() -> None:
        await database.query("ROLLBACK")
        full = sqlite3.OperationalError("database or disk is full")
        raise database.Unavailable(str(full)) from full

    works = [writing(f"lost {i}") for i in range(TOGETHER)]
    if lost == "ROLLBACK":
        works[TOGETHER // 2] = lose
    else:
        monkeypatch.setattr(connection, "execute", failing_commit(connection.execute))
    found = await asyncio.gather(*map(database.transaction, works), return_exceptions=True)
    monkeypatch.undo()
    committed = {f"lost {i} one" for i, each in enumerate(found) if each is None}
    assert len(committed) <= 1, "all but the first share the commit"
    assert {key for key in keys_in(database_url) if key.startswith("lost ") and "one" in key} == (
        committed
    )
    await database.transaction(writing("afterwards"))
    assert "afterwards two" in keys_in(database_url)


async def test_a_full_disk_fails_every_member(database_url: str, service: Service) -> None:
    """The error is SQLite's own, at whichever statement the file cannot grow."""
    del service
    # Otherwise the pages that earlier tests have freed would be written first
    await database.query("VACUUM")
    (pages,) = (await database.query("PRAGMA page_count"))[0].values()
    await database.query(f"PRAGMA max_page_count = {pages + 5}")
    keys = [f"full {i} {'x' * 1500}" for i in range(TOGETHER)]
    works = [
        *(database.transaction(writing(key)) for key in keys),
        *(database.query(_INSERT, f"{key} statement") for key in keys),
    ]
    found = await asyncio.gather(*works, return_exceptions=True)
    await database.query("PRAGMA max_page_count = 1000000")
    assert any(isinstance(each, database.Unavailable) for each in found)
    assert all(isinstance(each, database.Unavailable | list | None) for each in found)
    stored = {key for key in keys_in(database_url) if key.startswith("full ")}
    assert stored == {
        name
        for key, pair, single in zip(keys, found, found[TOGETHER:], strict=False)
        for name, outcome in (
            (f"{key} one", pair),
            (f"{key} two", pair),
            (f"{key} statement", single),
        )
        if not isinstance(outcome, Exception)
    }
    await database.transaction(writing("afterwards"))


async def test_a_failed_commit_leaves_no_open_transaction(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    del service
    connection = driver()
    monkeypatch.setattr(connection, "execute", failing_commit(connection.execute))
    with pytest.raises(database.Unavailable):
        await database.transaction(writing("not committed"))
    monkeypatch.undo()
    await database.transaction(writing("afterwards"))


@pytest.mark.parametrize("fails", [False, True])
async def test_after_commit_runs_only_after_the_commit(
    database_url: str, service: Service, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    del service
    seen: list[bool] = []

    def hooked(key: str) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            database.after_commit(lambda: seen.append(f"{key} one" in keys_in(database_url)))
            await writing(key)()

        return work

    if fails:
        connection = driver()
        monkeypatch.setattr(connection, "execute", failing_commit(connection.execute))
    works = (database.transaction(hooked(f"hook {i}")) for i in range(TOGETHER))
    await asyncio.gather(*works, return_exceptions=True)
    monkeypatch.undo()
    assert seen == ([] if fails else [True] * TOGETHER)


@pytest.mark.parametrize("steps", range(0, 60, 4))
async def test_a_caller_cancelled_at_any_step_changes_all_or_nothing(
    database_url: str, service: Service, steps: int
) -> None:
    """steps: how many steps the event loop makes before some of the calls are cancelled."""
    del service
    calls: list[asyncio.Task[Any]] = []
    for i in range(9):
        calls += [
            asyncio.create_task(database.transaction(writing(f"cancelled {i}"))),
            asyncio.create_task(database.query(_INSERT, f"cancelled statement {i}")),
            asyncio.create_task(database.query("SELECT key FROM counters")),
        ]
    for _ in range(steps):
        await asyncio.sleep(0)
    for call in calls[::4]:
        call.cancel()
    async with asyncio.timeout(10):
        found = await asyncio.gather(*calls, return_exceptions=True)
        await database.transaction(writing("later"))
    seen = keys_in(database_url)
    assert "later two" in seen
    for i, (pair, single) in enumerate(zip(found[::3], found[1::3], strict=True)):
        assert (f"cancelled {i} one" in seen) == (f"cancelled {i} two" in seen)
        assert pair is not None or f"cancelled {i} one" in seen
        assert single != [] or f"cancelled statement {i}" in seen


async def test_a_cancelled_statement_leaves_nothing_open(
    database_url: str, service: Service
) -> None:
    del service
    calls = [
        asyncio.create_task(database.query(_INSERT, f"cancelled {i}")) for i in range(TOGETHER)
    ]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert found[1::2] == [[]] * (TOGETHER // 2)
    await database.transaction(writing("later"))
    assert {f"cancelled {i}" for i in range(1, TOGETHER, 2)} | {"later one"} <= keys_in(
        database_url
    )


_WRITER = """
import asyncio, itertools, sys
from referral.storage import database

async def main(url):
    await database.connect(url)
    async def write(client):
        for number in itertools.count():
            key = f"{client} {number}"
            async def work():
                await database.query("INSERT INTO counters (key, tat) VALUES ($1, 1)", key)
            await database.transaction(work)
            print(key, flush=True)
    await asyncio.gather(*map(write, range(16)))

asyncio.run(main(sys.argv[1]))
"""


def test_a_killed_process_loses_nothing_it_acknowledged(database_url: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, database_url],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(500)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [line for line in process.stdout if line.endswith("\n")]
    assert {line.strip() for line in acknowledged} <= keys_in(database_url)
