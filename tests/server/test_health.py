"""`/health/ready`: public, never refused, and cheap however often it is requested."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from time import perf_counter, process_time
from typing import Any

import pytest

from locks import on_postgres, other_connection
from referral.service import health
from referral.storage import database, migrate
from support import Service, context_of

READY = "/health/ready"
LIVE = "/health/live"


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of all statements about migrations sent to the database."""
    sent: list[str] = []
    query = database.query

    async def counted(sql: str, *values: object) -> list[dict[str, Any]]:
        if "migrations" in sql:
            sent.append(sql)
        return await query(sql, *values)

    monkeypatch.setattr(database, "query", counted)
    return sent


async def test_the_database_is_checked_at_most_once_a_second(
    service: Service, checks: list[str]
) -> None:
    begun = perf_counter()
    for _ in range(20):
        responses = await asyncio.gather(*(service.get(READY) for _ in range(20)))
        assert {response.status_code for response in responses} == {200}
        await asyncio.sleep(0.1)
    assert 2 <= len(checks) <= perf_counter() - begun + 1


async def test_readiness_costs_no_more_than_liveness(service: Service) -> None:
    """Compares the CPU time of 10 responses of each, 40 times, since load may double a few."""

    async def cost(path: str) -> float:
        begun = process_time()
        for _ in range(10):
            assert (await service.get(path)).status_code == 200
        return process_time() - begun

    ratios = [await cost(READY) / await cost(LIVE) for _ in range(40)]
    assert median(ratios) < 1.5, ratios


async def test_a_missing_migration_is_noticed(service: Service) -> None:
    assert (await service.get(READY)).status_code == 200
    name = (await database.query("SELECT max(name) AS name FROM tortoise_migrations"))[0]["name"]
    await database.query("UPDATE tortoise_migrations SET name = 'x' WHERE name = $1", name)
    try:
        assert await migrate.pending() == [name]
        await asyncio.sleep(1)
        response = await service.get(READY)
        assert (response.status_code, response.json()) == (503, {"status": "unavailable"})
        assert int(response.headers["retry-after"]) >= 1
    finally:
        await database.query("UPDATE tortoise_migrations SET name = $1 WHERE name = 'x'", name)
    await asyncio.sleep(1)
    assert (await service.get(READY)).status_code == 200


@asynccontextmanager
async def frozen(url: str) -> AsyncIterator[Any]:
    """Stop the database's processes that serve this service's connections."""
    async with other_connection(url) as other:
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
async def test_a_frozen_database_is_reported_in_time(
    database_url: str, service: Service, checks: list[str]
) -> None:
    person = await service.sign_in()
    await person.profile()
    async with frozen(database_url):
        begun = perf_counter()
        first = [asyncio.create_task(service.get(READY)) for _ in range(100)]
        await asyncio.sleep(1)
        # They wait for the same check and hold no slot meanwhile
        assert context_of(service).limiter.in_use == 0
        assert len(checks) == 1
        responses = await asyncio.gather(*first, *(service.get(READY) for _ in range(100)))
        assert perf_counter() - begun < health.TIMEOUT_SECONDS + 1
        assert {response.status_code for response in responses} == {503}
        assert len(checks) <= 2
    async with asyncio.timeout(10):
        while (await service.get(READY)).status_code != 200:  # noqa: ASYNC110 - the database
            await asyncio.sleep(0.1)
