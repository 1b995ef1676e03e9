"""Housekeeping: expired rows are purged, by one process at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from processes import environment, serving
from referral.service import housekeeping
from referral.storage import database, leases
from support import SECRET, Service, context_of, new_phone, ok, refused, running

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMMAND = [sys.executable, "-m", "referral", "worker"]


async def test_expired_sessions_are_deleted(service: Service) -> None:
    """Idle for 30 days, or 180 days old however often used. Others stay."""
    idle, used = await service.sign_in(), await service.sign_in()
    for _ in range(8):
        service.clock.move(days=25)
        response = await used.refresh()
        if response.is_success:
            used.tokens = ok(response)
    young = await service.sign_in()
    refused(await used.refresh(), 401, "invalid_refresh_token")
    refused(await idle.refresh(), 401, "invalid_refresh_token")
    # The service's own first purge may have come before
    await housekeeping.purge_expired(context_of(service))
    assert await rows("sessions") == 1
    ok(await young.refresh())


async def test_phone_digests_are_deleted_after_365_days(service: Service) -> None:
    inviter = await service.sign_in()
    leaver = await service.sign_in(invite_code=await inviter.invite_code())
    ok(await leaver.call("DELETE", "/profile"))
    service.clock.move(days=364)
    await housekeeping.purge_expired(context_of(service))
    tables = ("past_activations", "admitted_phones")
    assert [await rows(table) for table in tables] == [1, 1]
    service.clock.move(days=2)
    await housekeeping.purge_expired(context_of(service))
    assert [await rows(table) for table in tables] == [0, 0]


async def test_audit_addresses_are_cleared_after_90_days(service: Service) -> None:
    now = service.clock()
    for age in (89, 91, 400):
        await database.query(
            "INSERT INTO audit_entries (id, at, action, actor, address)"
            " VALUES ($1, $2, $3, $4, $5)",
            uuid4(),
            now - timedelta(days=age),
            "signed_in",
            "user:1",
            "192.0.2.1",
        )
    await housekeeping.purge_expired(context_of(service))
    assert await rows("audit_entries WHERE actor = 'user:1'") == 3
    assert await rows("audit_entries WHERE address = '192.0.2.1'") == 1


async def test_a_lease_has_one_holder_until_it_expires(service: Service) -> None:  # noqa: ARG001 - its database
    one, other = uuid4(), uuid4()
    until = NOW + timedelta(seconds=60)
    assert await leases.acquire("test", one, now=NOW, until=until)
    assert not await leases.acquire("test", other, now=NOW, until=until)
    late = NOW + timedelta(seconds=30)
    assert await leases.acquire("test", one, now=late, until=late + timedelta(seconds=60))
    assert not await leases.acquire("test", other, now=until, until=until)
    after = late + timedelta(seconds=60)
    assert await leases.acquire("test", other, now=after, until=after + timedelta(seconds=60))
    await leases.release("test", one)
    assert not await leases.acquire("test", one, now=after, until=after)
    await leases.release("test", other)
    assert await leases.acquire("test", one, now=after, until=after)


async def test_parallel_acquirers_get_one_lease(service: Service) -> None:  # noqa: ARG001 - its database
    until = NOW + timedelta(seconds=60)
    for _ in range(10):
        name = f"test {uuid4()}"
        taken = await asyncio.gather(
            *(leases.acquire(name, uuid4(), now=NOW, until=until) for _ in range(20))
        )
        assert sum(taken) == 1


async def test_worker_and_web_processes_share_one_lease(database_url: str, tmp_path: Path) -> None:
    """A holder that is stopped releases it."""
    settings = {"DATABASE_URL": database_url, "REFERRAL_SECRET": SECRET}
    with serving(tmp_path, WEB_CONCURRENCY="2", **settings):
        async with reading(database_url):
            (holder,) = await until_held()
            with working(tmp_path, settings) as worker:
                await asyncio.sleep(1)
                assert await until_held() == [holder]
                assert worker.poll() is None
    async with reading(database_url):
        assert await holders() == []


async def test_a_worker_purges_and_ends_on_sigterm(database_url: str, tmp_path: Path) -> None:
    async with running(database_url) as service:
        await service.send_code(new_phone())
        assert await rows("counters") > 0
        await database.query("UPDATE counters SET tat = 1")
    with working(tmp_path, {"DATABASE_URL": database_url, "REFERRAL_SECRET": SECRET}):
        async with reading(database_url), asyncio.timeout(20):
            while await rows("counters WHERE tat = 1"):  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.1)


@contextmanager
def working(folder: Path, settings: dict[str, str]) -> Any:
    """Run `referral worker`, and check that it ends soon and without an error after SIGTERM."""
    process = subprocess.Popen(
        COMMAND, cwd=folder, env=environment(folder, **settings), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"the worker is running\n"
        yield process
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


@asynccontextmanager
async def reading(database_url: str) -> AsyncIterator[None]:
    """Connect to the database while other processes use it."""
    await database.connect(database_url)
    try:
        yield
    finally:
        await database.disconnect()


async def until_held() -> list[str]:
    async with asyncio.timeout(20):
        while not (found := await holders()):  # noqa: ASYNC110 - by another process
            await asyncio.sleep(0.1)
    return found


async def holders() -> list[str]:
    found = await database.query("SELECT holder FROM leases WHERE name = $1", housekeeping.LEASE)
    return [str(row["holder"]) for row in found]


async def rows(table: str) -> int:
    (row,) = await database.query(f"SELECT count(*) AS number FROM {table}")  # noqa: S608 - our own
    number: int = row["number"]
    return number
