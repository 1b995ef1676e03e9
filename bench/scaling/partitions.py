"""Partitions, autovacuum, and unlogged counters after a crash."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
from time import monotonic

import asyncpg

from clusters import Node, postgres
from processes import ROOT
from referral.limits import counters
from referral.storage import database
from scaling import partitioned, rows, tables
from support import migrated

LIVE = 200_000
CONCURRENCY = 10
SECONDS = 3
ROUNDS = 3
FILES = (
    "api/test_sign_in.py",
    "api/test_sessions.py",
    "api/test_refreshes.py",
    "limits/test_limits.py",
    "storage/test_crossings.py",
    "server/test_housekeeping.py",
)
_NOW = 1_760_000_000_000_000
# Vacuum as soon as a thousandth of the rows is dead, without pauses; leave space in pages for new
# row versions
TUNED = """
    ALTER TABLE counters SET (
        fillfactor = 50, autovacuum_vacuum_scale_factor = 0.001, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0
    )
"""
_UNLOGGED = "ALTER TABLE counters SET UNLOGGED"
_SIZE = "SELECT pg_total_relation_size('counters')"
_CHANGES = """
    SELECT CAST(sum(n_tup_upd) AS BIGINT) AS updates, CAST(sum(n_tup_hot_upd) AS BIGINT) AS hot,
           CAST(sum(autovacuum_count) AS BIGINT) AS vacuums
    FROM pg_stat_user_tables WHERE relname LIKE 'counters%'
"""


async def main() -> None:
    rates: dict[str, list[list[float]]] = {}
    for _ in range(ROUNDS):
        for name, sql in {"plain": "", "partitioned": None, "unlogged": _UNLOGGED}.items():
            rates.setdefault(name, []).append(await _measure_charges(sql))
    tables.show(
        f"Charges of 2 counters, {CONCURRENCY} concurrent, {LIVE:,} live; medians of {ROUNDS} runs",
        ["counters", "charges/s", "WAL bytes a charge"],
        (
            [name, *(f"{statistics.median(each):,.0f}" for each in zip(*found, strict=True))]
            for name, found in rates.items()
        ),
    )
    tables.show(
        "A table of 1,000 counters after 20,000 updates",
        ["autovacuum", "bytes", "updates in place (HOT)", "vacuums"],
        [await _measure_bloat("default", ""), await _measure_bloat("tuned", TUNED)],
    )
    tables.show(
        "After a crash of PostgreSQL",
        ["counters", "left"],
        [
            ["logged", await _count_after_crash("")],
            ["unlogged", await _count_after_crash(_UNLOGGED)],
        ],
    )
    tables.show(
        "PostgreSQL's response to partitioning",
        ["table", "partitioned by", "response"],
        await _try_partitioning(),
    )


async def behaviour() -> None:
    """Run the service's own tests on partitioned tables."""
    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(sys.executable, "-m", "pytest", "-p", "scaling.partitioned", "-n", "0", "-q"),
            *("-k", "postgres", "--no-header", "--no-summary"),
            *(f"tests/{file}" for file in FILES),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    tables.show(
        "The service's tests, counters and sessions in "
        f"{partitioned.PARTITIONS} hash partitions each",
        ["files", "result"],
        [[len(FILES), done.stdout.strip().splitlines()[-1].strip("= ")]],
    )
    assert done.returncode == 0, done.stdout[-3000:]


async def _measure_charges(sql: str | None) -> list[float]:
    """Return charges a second and WAL bytes a charge.

    sql: is executed first; None partitions the table instead.
    """
    with postgres() as node:
        await migrated(node.url)
        await rows.fill(node.url, LIVE, users=False, sessions=False)
        if sql is None:
            await partitioned.split(node.url)
        connection = await asyncpg.connect(node.url)
        if sql:
            await connection.execute(sql)
        await connection.execute("CHECKPOINT")
        start = await connection.fetchval("SELECT pg_current_wal_lsn()")
        charges = await _charge(node, seconds=SECONDS, keys=1_000_000)
        written = await connection.fetchval("SELECT pg_current_wal_lsn() - $1::pg_lsn", start)
        await connection.close()
    return [charges / SECONDS, float(written) / charges]


async def _charge(
    node: Node, *, keys: int, seconds: float = 600, maximum: int | None = None
) -> int:
    """Charge two counters at a time, and return how often that was done."""
    await database.connect(node.url)
    number, end = 0, monotonic() + seconds

    async def work(worker: int) -> None:
        nonlocal number
        while monotonic() < end and (maximum is None or number < maximum):
            number += 1
            first = number * 7919 + worker
            both = [rows.charge((first + each) % keys) for each in range(2)]
            assert await counters.charge(both, now=_NOW)

    await asyncio.gather(*(work(worker) for worker in range(CONCURRENCY)))
    await database.disconnect()
    return number


async def _measure_bloat(name: str, sql: str) -> list[object]:
    with postgres() as node:
        # By default autovacuum looks once a minute, which is longer than this measurement
        node.configure(autovacuum_naptime="1")
        await migrated(node.url)
        connection = await asyncpg.connect(node.url)
        if sql:
            await connection.execute(sql)
        await _charge(node, keys=1000, maximum=10_000)
        await asyncio.sleep(2)
        size = await connection.fetchval(_SIZE)
        changes = await connection.fetchrow(_CHANGES)
        await connection.close()
    hot = f"{changes['hot'] / max(changes['updates'], 1):.0%}"
    return [name, f"{size:,}", hot, changes["vacuums"]]


async def _count_after_crash(sql: str) -> str:
    with postgres() as node:
        await migrated(node.url)
        connection = await asyncpg.connect(node.url)
        if sql:
            await connection.execute(sql)
        await connection.close()
        await _charge(node, keys=1000, maximum=2000)
        connection = await asyncpg.connect(node.url)
        before = await connection.fetchval("SELECT count(*) FROM counters")
        await connection.close()
        node.crash()
        node.start()
        connection = await asyncpg.connect(node.url)
        left = await connection.fetchval("SELECT count(*) FROM counters")
        await connection.close()
    return f"{left} of {before}"


async def _try_partitioning() -> list[list[str]]:
    """Return for each table and column whether unique constraints prevent partitioning."""
    results = []
    with postgres() as node:
        await migrated(node.url)
        for table, column in {
            "counters": "key",
            "sessions": "id",
            "sessions ": "user_id",
            "users": "id",
        }.items():
            connection = await asyncpg.connect(node.url)
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(partitioned.statements(table.strip(), column))
                response = "accepted"
            except asyncpg.PostgresError as error:
                response = str(error)
            await transaction.rollback()
            await connection.close()
            results.append([table.strip(), column, response])
    return results
