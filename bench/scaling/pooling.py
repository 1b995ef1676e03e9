"""PgBouncer in transaction mode: how many connections it saves, and what a statement costs."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import asyncpg

from clusters import Node, pgbouncer, postgres
from failovers import Ledger, client
from processes import serving
from referral.limits import counters
from referral.storage import database, users
from scaling import rows, tables
from scaling.failover import SETTINGS
from support import migrated

STATEMENTS = 400
ROUNDS = 5
SERVERS = 3
SIZE = 8
_NOW = 1_760_000_000_000_000
_COUNT = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


async def main() -> None:
    with postgres() as node, pgbouncer(node.port, size=SIZE) as port:
        await migrated(node.url)
        pooled = f"postgres://postgres@127.0.0.1:{port}/postgres?statement_cache_size=0"
        urls = {
            "direct": node.url,
            "direct, statement_cache_size=0": f"{node.url}?statement_cache_size=0",
            "PgBouncer, statement_cache_size=0": pooled,
        }
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in urls}
        for _ in range(ROUNDS):
            for name, url in urls.items():
                costs[name].append(await _measure_cost(url))
        tables.show(
            f"Microseconds a statement, one after another, medians of {ROUNDS} alternating runs",
            ["connection", "a user by phone", "a charge of two counters"],
            (
                [name, *(f"{statistics.median(each):.0f}" for each in zip(*found, strict=True))]
                for name, found in costs.items()
            ),
        )
        tables.show(
            f"Connections, {SERVERS} processes of the service, 60 clients",
            ["connection", "to PostgreSQL at most", "responses", "refused"],
            [
                await _count_connections(node, name, urls[name])
                for name in ("direct", "PgBouncer, statement_cache_size=0")
            ],
        )


async def _measure_cost(url: str) -> tuple[float, float]:
    await database.connect(url)
    try:
        charges = [rows.charge(number) for number in range(2)]
        return (
            await _time(lambda: users.find_by_phone("+79990000000")),
            await _time(lambda: counters.charge(charges, now=_NOW)),
        )
    finally:
        await database.disconnect()


async def _time(work: Callable[[], Awaitable[object]]) -> float:
    await work()
    began = perf_counter()
    for _ in range(STATEMENTS):
        await work()
    return (perf_counter() - began) / STATEMENTS * 1e6


async def _count_connections(node: Node, name: str, url: str) -> list[object]:
    with TemporaryDirectory() as folder, ExitStack() as stack:
        servers = [
            stack.enter_context(serving(Path(folder), DATABASE_URL=url, **SETTINGS))
            for _ in range(SERVERS)
        ]
        ledger, stopping, maximum = Ledger(), asyncio.Event(), 0
        watching = await asyncpg.connect(node.url)
        async with asyncio.TaskGroup() as group:
            for number in range(60):
                group.create_task(client(servers[number % SERVERS], ledger, stopping))
            for _ in range(60):
                await asyncio.sleep(0.1)
                maximum = max(maximum, await watching.fetchval(_COUNT) - 1)
            stopping.set()
        await watching.close()
    return [name, maximum, len(ledger.successes), sum(ledger.refusals.values())]
