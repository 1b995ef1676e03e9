"""Measurements beyond the usual load: a second worker, SQLite, twice the load, a start."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import psutil  # type: ignore[import-untyped]  # it ships no types

import flood
import load
import machine
import material
import postgres
import rows
import servers
from aims import with_buffers
from cases import Bench, Case, Requests, alternate, always, requests_needed, run_case
from load import Run
from servers import Server

SQLITE, SQLITE_TWO, POSTGRES = "SQLite", "SQLite, two processes", "PostgreSQL"
EMBEDDED_CONNECTIONS = (1, 8, 32)
PLANNED, _PLANNED_SECONDS = 100, 20
# After this time an idle connection has reported to PostgreSQL's statistics
_STATISTICS_SECONDS = 11
_OVERLOAD = 2
# More than any of these servers keeps open at the same time; and as many as a proxy keeps
_MAX_CONNECTIONS, _PROXY_CONNECTIONS = 2000, 64
BEHIND_PROXY = f"profile, over {_PROXY_CONNECTIONS} connections"
# A tenth of the capacity, until there are enough responses for a 99th percentile, or for this long
_QUIET, _QUIET_RESPONSES, _QUIET_SECONDS = 0.1, 300, 15
_STARTS = 5
_REST_SECONDS = 2
_BOTH_CORES = (machine.SERVER_CORE, machine.OTHER_CORE)


async def two_workers(bench: Bench, capacities: dict[str, float]) -> dict[str, Any]:
    """Compare two workers on both cores with one on its own core, for reads and sign-ins.

    capacities: requests a second that one worker reached.

    Load and PostgreSQL share the two cores with the workers. So the rate is divided by the cores
    that were left to the workers: `scaling` is what two whole cores would give against one.
    """
    profile = await bench.read_profiles()
    found: dict[str, Any] = {}
    with servers.service(
        bench.folder, bench.many_url, name="two-workers", workers=2, cores=_BOTH_CORES
    ) as two:
        await asyncio.sleep(_REST_SECONDS)
        found["at rest"] = max(machine.megabytes(worker) for worker in two.workers())
        for name, requests, once in (
            ("profile", profile, False),
            ("verify", bench.verify_many, True),
        ):
            singles, pairs = [], []
            for turn in range(bench.rounds):
                bench.progress(f"two workers: {name}, {turn + 1} of {bench.rounds}")
                number = requests_needed(bench, 2 * capacities[name])
                single = Case(name, bench.many, requests, once)
                singles.append(await run_case(bench, single, number))
                machine.move(bench.postgres.pid, _BOTH_CORES)
                pair = Case(name, two, requests, once, cores=_BOTH_CORES)
                pairs.append(await run_case(bench, pair, number))
                machine.move(bench.postgres.pid, {machine.OTHER_CORE})
            found[name] = {
                "one": _medians(singles),
                "two": _medians(pairs),
                "scaling": _rate_per_core(pairs) * 2 / load.median(singles, "rate"),
            }
    return found


async def embedded(bench: Bench) -> dict[str, Any]:
    """Compare SQLite, with one process and with two on one file, with one process on PostgreSQL.

    Return the runs by operation, connections and server. Two processes share both cores with the
    load. All have the same 1,000 users.
    """
    url = f"sqlite://{bench.folder}/embedded.sqlite3"
    servers.migrate(bench.folder, url)
    rows.fill_few_in_sqlite(url)
    found: dict[str, Any] = {}
    with (
        servers.service(bench.folder, url, name="sqlite") as one,
        servers.service(bench.folder, url, name="sqlite-two", workers=2, cores=_BOTH_CORES) as two,
    ):
        for operation, (in_sqlite, in_postgres) in (await _operations(bench, url)).items():
            found[operation] = {}
            for connections in EMBEDDED_CONNECTIONS:
                once = operation != "profile"
                cases = [
                    Case(SQLITE, one, in_sqlite, once, connections),
                    Case(SQLITE_TWO, two, in_sqlite, once, connections, cores=_BOTH_CORES),
                    Case(POSTGRES, bench.few, in_postgres, once, connections),
                ]
                title = f"{operation}, {connections} connections"
                runs = await alternate(bench, cases, rounds=(bench.rounds + 1) // 2, title=title)
                found[operation][str(connections)] = {
                    name: [asdict(run) for run in each] for name, each in runs.items()
                }
    return found


async def _operations(bench: Bench, url: str) -> dict[str, tuple[Requests, Requests]]:
    """Return the requests of each operation, for SQLite and for PostgreSQL."""

    async def operations(url: str) -> dict[str, Requests]:
        reads = await material.reads(url, "/profile", range(1, rows.FEW + 1))
        return {
            "profile": always(reads),
            "send-code": material.send_codes,
            "verify": bench.verify_few,
            "refresh": partial(material.refreshes, url, users=rows.FEW),
        }

    in_sqlite, in_postgres = await operations(url), await operations(bench.few_url)
    return {name: (in_sqlite[name], in_postgres[name]) for name in in_sqlite}


async def overload(bench: Bench, capacities: dict[str, float]) -> dict[str, Any]:
    """Offer twice the capacity: see how much is accepted, how fast, and how much is shed.

    capacities: requests a second that were reached with 32 connections.
    """
    profile = await bench.read_profiles()
    kinds: dict[str, Requests] = {
        "profile": profile,
        BEHIND_PROXY: profile,
        "send-code": material.send_codes,
        "verify": bench.verify_many,
    }
    found: dict[str, dict[str, Any]] = {}
    for name, requests in kinds.items():
        capacity = capacities[name.partition(",")[0]]
        connections = _PROXY_CONNECTIONS if name == BEHIND_PROXY else _MAX_CONNECTIONS
        found[name] = {"capacity": capacity}
        for kind, times in {"unloaded": _QUIET, "overloaded": _OVERLOAD}.items():
            bench.progress(f"overload: {name}, {kind}")
            rate = capacity * times
            seconds = max(bench.seconds, 2, min(_QUIET_RESPONSES / rate, _QUIET_SECONDS))
            sent = await requests(int(rate * (flood.WARM_UP_SECONDS + seconds)))
            found[name][kind] = await _flood(bench.many, sent, rate, seconds, connections)
            await asyncio.sleep(_REST_SECONDS)
    return found


async def durable(bench: Bench) -> dict[str, Any]:
    """Measure what PostgreSQL writes, flushes and computes for 100 requests a second of each kind.

    Each kind starts after a checkpoint, when the write-ahead log contains whole pages
    (full_page_writes).
    """
    number = PLANNED * (flood.WARM_UP_SECONDS + _PLANNED_SECONDS)
    kinds = {
        "codes sent": await material.send_codes(number),
        "sign-ins (verify)": await bench.verify_many(number),
        "refreshes": await material.refreshes(bench.many_url, number, users=bench.users),
    }
    found: dict[str, Any] = {}
    for name, requests in kinds.items():
        bench.progress(f"{PLANNED} a second: {name}")
        await postgres.execute(bench.many_url, "CHECKPOINT")
        await asyncio.sleep(_STATISTICS_SECONDS)
        before = await _usage(bench)
        responses = await _flood(bench.many, requests, PLANNED, _PLANNED_SECONDS)
        await asyncio.sleep(_STATISTICS_SECONDS)
        size, flushes, in_postgres, in_server = (
            after - earlier for after, earlier in zip(await _usage(bench), before, strict=True)
        )
        lost = responses["shed"]["number"] + responses["other"] + responses["broken"]
        found[name] = {
            "answered": number - lost - responses["unanswered"],
            "seconds": number / PLANNED,
            "wal_bytes": size,
            "flushes": flushes,
            "postgres_cpu": in_postgres,
            "server_cpu": in_server,
        }
    return found


def a_quarter_of_memory() -> int:
    """Return a quarter of the machine's memory, in megabytes."""
    quarter: int = psutil.virtual_memory().total // 4 // 2**20
    return quarter


async def buffered(bench: Bench, megabytes: int) -> dict[str, Any]:
    """Compare sign-ins of few users and of many with these shared buffers.

    Measure this last, because it restarts PostgreSQL.
    """
    bench.progress(f"PostgreSQL with {megabytes:,} MB of shared buffers")
    bench = replace(bench, postgres=await postgres.with_buffers(bench.postgres, megabytes))
    await postgres.read_all(bench.many_url, "users", by="phone")

    few = with_buffers(f"verify, {rows.FEW:,} users", megabytes)
    many = with_buffers(f"verify, {bench.users:,} users", megabytes)
    runs = await alternate(
        bench,
        [
            Case(few, bench.few, bench.verify_few, once=True),
            Case(many, bench.many, bench.verify_many, once=True),
        ],
    )
    return {name: [asdict(run) for run in each] for name, each in runs.items()}


async def _usage(bench: Bench) -> tuple[float, ...]:
    size, flushes = await postgres.written(bench.many_url)
    seconds = (machine.cpu_seconds(pid) for pid in (bench.postgres.pid, bench.many.pid))
    return (size, flushes, *seconds)


async def starting(bench: Bench) -> dict[str, Any]:
    """Measure the time from the command to the first response, and the memory of an idle worker."""
    seconds, resting = [], []
    for turn in range(_STARTS):
        bench.progress(f"starting, {turn + 1} of {_STARTS}")
        with servers.service(bench.folder, bench.few_url, name="starting") as server:
            seconds.append(server.start_seconds)
            await asyncio.sleep(1)
            resting.append(machine.megabytes(server.pid))
    return {"seconds": seconds, "megabytes": resting}


async def _flood(
    server: Server,
    requests: Sequence[bytes],
    rate: float,
    seconds: float,
    connections: int = _MAX_CONNECTIONS,
) -> dict[str, Any]:
    with NamedTemporaryFile(prefix="requests-") as file:
        file.write(b"".join(each + b"\0" for each in requests))
        file.flush()
        script = Path(__file__).parent / "flood.py"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *map(str, (script, server.port, file.name, rate, seconds, connections)),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    return {**json.loads(output), "seconds": seconds}


def _rate_per_core(runs: Sequence[Run]) -> float:
    """Return requests a second for each core that load and PostgreSQL left to the workers."""
    return statistics.median(
        run.rate / (len(_BOTH_CORES) - run.load_cores - run.postgres_cpu * run.rate / 1000)
        for run in runs
    )


def _medians(runs: Sequence[Run]) -> dict[str, float]:
    return {field: load.median(runs, field) for field in ("rate", "p50", "p99", "megabytes")}
