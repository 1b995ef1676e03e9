"""`/health/ready`: public, never refused, and asked by whoever likes as often as they like."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import pytest

from locks import on_postgres, somebody_else
from referral.service import health
from referral.storage import database, migrate
from support import Service, context_of

READY = "/health/ready"
LIVE = "/health/live"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each statement about migrations that is sent to the database."""
    sent: list[str] = []
    query = database.query

    async def counted(sql: str, *values: object) -> list[dict[str, Any]]:
        if "migrations" in sql:
            sent.append(sql)
        return await query(sql, *values)

    monkeypatch.setattr(database, "query", counted)
    return sent


async def test_it_looks_once_a_second_however_often_it_is_asked(
    service: Service, looks: list[str]
) -> None:
    begun = perf_counter()
    for _ in range(20):
        answers = await asyncio.gather(*(service.get(READY) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        await asyncio.sleep(0.1)
    assert 2 <= len(looks) <= perf_counter() - begun + 1


async def test_it_costs_no_more_than_whether_the_process_lives(service: Service) -> None:
    """The fastest 10 of 400 answers to each, taken in turns."""
    fastest = {READY: 1e9, LIVE: 1e9}
    for _ in range(40):
        for path, before in fastest.items():
            begun = perf_counter()
            for _ in range(10):
                assert (await service.get(path)).status_code == 200
            fastest[path] = min(before, perf_counter() - begun)
    assert fastest[READY] < 1.5 * fastest[LIVE], fastest


async def test_a_missing_migration_is_seen_while_the_process_runs(service: Service) -> None:
    assert (await service.get(READY)).status_code == 200
    name = (await database.query("SELECT max(name) AS name FROM tortoise_migrations"))[0]["name"]
    await database.query("UPDATE tortoise_migrations SET name = 'x' WHERE name = $1", name)
    try:
        assert await migrate.pending() == [name]
        await asyncio.sleep(1)
        answer = await service.get(READY)
        assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})
        assert int(answer.headers["retry-after"]) >= 1
    finally:
        await database.query("UPDATE tortoise_migrations SET name = $1 WHERE name = 'x'", name)
    await asyncio.sleep(1)
    assert (await service.get(READY)).status_code == 200


@asynccontextmanager
async def frozen(url: str) -> AsyncIterator[Any]:
    """No statement on a connection that the service has is answered."""
    async with somebody_else(url) as other:
        rows = await other.fetch(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid()"
        )
        assert rows
        for row in rows:
            os.kill(row["pid"], signal.SIGSTOP)
        try:
            yield other
        finally:
            for row in rows:
                os.kill(row["pid"], signal.SIGCONT)


@on_postgres
async def test_a_frozen_database_is_told_in_time_and_nothing_piles_up(
    database_url: str, service: Service, looks: list[str]
) -> None:
    person = await service.sign_in()
    await person.profile()
    async with frozen(database_url):
        begun = perf_counter()
        first = [asyncio.create_task(service.get(READY)) for _ in range(100)]
        await asyncio.sleep(1)
        # They wait for the same look, and take no room meanwhile
        assert context_of(service).limiter.in_use == 0
        assert len(looks) == 1
        answers = await asyncio.gather(*first, *(service.get(READY) for _ in range(100)))
        assert perf_counter() - begun < health.LONGEST_SECONDS + 1
        assert {answer.status_code for answer in answers} == {503}
        assert len(looks) <= 2
    async with asyncio.timeout(10):
        while (await service.get(READY)).status_code != 200:  # noqa: ASYNC110 - the database
            await asyncio.sleep(0.1)
