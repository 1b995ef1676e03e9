"""What only shows at the edges: a second worker, too much load, a start."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
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
from cases import Bench, Case, Requests, alternate, needed, run_case
from load import Run
from servers import Server

SQLITE, SQLITE_TWO, POSTGRES = "SQLite", "SQLite, two processes", "PostgreSQL"
EMBEDDED_CONNECTIONS = (1, 8, 32)
PLANNED, _PLANNED_SECONDS = 100, 20
# After which a connection that rests has told PostgreSQL's statistics what it did
_TOLD_SECONDS = 11
_OVERLOAD = 2
# More than any server here keeps open at once; and what a proxy keeps
_MOST_CONNECTIONS, _OF_A_PROXY = 2000, 64
BEHIND_PROXY = f"profile, over {_OF_A_PROXY} connections"
# Of what it can do; for so many answers that one in a hundred means something, or for so long
_QUIET, _QUIET_ANSWERS, _QUIET_SECONDS = 0.1, 300, 15
_STARTS = 5
_REST_SECONDS = 2
_BOTH_CORES = (machine.SERVER_CORE, machine.OTHER_CORE)


async def two_workers(bench: Bench, capacities: dict[str, float]) -> dict[str, Any]:
    """Two workers on both cores against one on its own, for reads and for sign-ins.

    capacities: requests a second that one worker was seen to do.

    The load and PostgreSQL have to share the two cores with the workers. So a rate is divided by
    the cores that were left to the workers: `scaling` is what two cores would give against one.
    """
    reads = await material.reads(bench.many_url, "/profile", range(1, rows.PROFILES + 1))

    async def profile(_: int) -> list[bytes]:
        return reads

    async def verify(number: int) -> list[bytes]:
        return material.verifications(number, users=bench.users)

    found: dict[str, Any] = {}
    with servers.service(
        bench.folder, bench.many_url, name="two-workers", workers=2, cores=_BOTH_CORES
    ) as two:
        await asyncio.sleep(_REST_SECONDS)
        found["at rest"] = max(machine.megabytes(worker) for worker in two.workers())
        for name, requests, once in (("profile", profile, False), ("verify", verify, True)):
            alone, pairs = [], []
            for turn in range(bench.rounds):
                bench.progress(f"two workers: {name}, {turn + 1} of {bench.rounds}")
                number = needed(bench, 2 * capacities[name])
                alone.append(await run_case(bench, Case(name, bench.many, requests, once), number))
                machine.move(bench.postgres.pid, _BOTH_CORES)
                pair = Case(name, two, requests, once, cores=_BOTH_CORES)
                pairs.append(await run_case(bench, pair, number))
                machine.move(bench.postgres.pid, {machine.OTHER_CORE})
            found[name] = {
                "one": _plain(alone),
                "two": _plain(pairs),
                "scaling": _per_core(pairs) * 2 / load.median(alone, "rate"),
            }
    return found


async def embedded(bench: Bench) -> dict[str, Any]:
    """SQLite, with one process and with two on one file, beside one process on PostgreSQL: runs by
    operation, connections and which of them it was.

    Two share both cores with the load. All have the same 1,000 users.
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
    """The requests of each operation, for SQLite and for PostgreSQL."""

    async def of(url: str) -> dict[str, Requests]:
        reads = await material.reads(url, "/profile", range(1, rows.FEW + 1))

        async def profile(_: int) -> list[bytes]:
            return reads

        async def send_code(number: int) -> list[bytes]:
            return material.send_codes(number)

        async def verify(number: int) -> list[bytes]:
            return material.verifications(number, users=rows.FEW)

        async def refresh(number: int) -> list[bytes]:
            return await material.refreshes(url, number, users=rows.FEW)

        return {"profile": profile, "send-code": send_code, "verify": verify, "refresh": refresh}

    in_sqlite, in_postgres = await of(url), await of(bench.few_url)
    return {name: (in_sqlite[name], in_postgres[name]) for name in in_sqlite}


async def overload(bench: Bench, capacities: dict[str, float]) -> dict[str, Any]:
    """Twice what the service can do: what of it is accepted, and how fast, and what is shed.

    capacities: requests a second that were seen with 32 connections.
    """
    reads = await material.reads(bench.many_url, "/profile", range(1, rows.PROFILES + 1))
    kinds: dict[str, Callable[[int], list[bytes]]] = {
        "profile": lambda _: reads,
        BEHIND_PROXY: lambda _: reads,
        "send-code": material.send_codes,
        "verify": lambda number: material.verifications(number, users=bench.users),
    }
    found: dict[str, dict[str, Any]] = {}
    for name, requests in kinds.items():
        capacity = capacities[name.partition(",")[0]]
        connections = _OF_A_PROXY if name == BEHIND_PROXY else _MOST_CONNECTIONS
        found[name] = {"capacity": capacity}
        for kind, times in {"unloaded": _QUIET, "overloaded": _OVERLOAD}.items():
            bench.progress(f"overload: {name}, {kind}")
            rate = capacity * times
            seconds = max(bench.seconds, 2, min(_QUIET_ANSWERS / rate, _QUIET_SECONDS))
            sent = requests(int(rate * (flood.WARM_UP_SECONDS + seconds)))
            found[name][kind] = await _flooded(bench.many, sent, rate, seconds, connections)
            await asyncio.sleep(_REST_SECONDS)
    return found


async def durable(bench: Bench) -> dict[str, Any]:
    """What PostgreSQL writes, flushes and computes for 100 requests a second of each kind.

    Each begins after a checkpoint, so the log has whole pages, as it has after every checkpoint.
    """
    number = PLANNED * (flood.WARM_UP_SECONDS + _PLANNED_SECONDS)
    refreshes = await material.refreshes(bench.many_url, number, users=bench.users)
    kinds = {
        "codes sent": material.send_codes(number),
        "sign-ins (verify)": material.verifications(number, users=bench.users),
        "refreshes": refreshes,
    }
    found: dict[str, Any] = {}
    for name, requests in kinds.items():
        bench.progress(f"{PLANNED} a second: {name}")
        await postgres.execute(bench.many_url, "CHECKPOINT")
        await asyncio.sleep(_TOLD_SECONDS)
        before = await _used(bench)
        answers = await _flooded(bench.many, requests, PLANNED, _PLANNED_SECONDS)
        await asyncio.sleep(_TOLD_SECONDS)
        size, flushes, in_postgres, in_server = (
            after - earlier for after, earlier in zip(await _used(bench), before, strict=True)
        )
        lost = answers["shed"]["number"] + answers["other"] + answers["broken"]
        found[name] = {
            "answered": number - lost - answers["unanswered"],
            "seconds": number / PLANNED,
            "wal_bytes": size,
            "flushes": flushes,
            "postgres_cpu": in_postgres,
            "server_cpu": in_server,
        }
    return found


def a_quarter_of_memory() -> int:
    """Megabytes."""
    quarter: int = psutil.virtual_memory().total // 4 // 2**20
    return quarter


async def buffered(bench: Bench, megabytes: int) -> dict[str, Any]:
    """Sign-ins of few users, then of many, with so much memory for PostgreSQL's shared buffers.
    To be measured last: it restarts PostgreSQL.
    """
    bench.progress(f"PostgreSQL with {megabytes:,} MB of shared buffers")
    bench = replace(bench, postgres=await postgres.with_buffers(bench.postgres, megabytes))
    await postgres.read_all(bench.many_url, "users", by="phone")

    async def few(number: int) -> list[bytes]:
        return material.verifications(number, users=rows.FEW)

    async def many(number: int) -> list[bytes]:
        return material.verifications(number, users=bench.users)

    title = f"{megabytes:,} MB of shared buffers"
    runs = await alternate(
        bench,
        [
            Case(f"verify, {rows.FEW:,} users, {title}", bench.few, few, once=True),
            Case(f"verify, {bench.users:,} users, {title}", bench.many, many, once=True),
        ],
    )
    return {name: [asdict(run) for run in each] for name, each in runs.items()}


async def _used(bench: Bench) -> tuple[float, ...]:
    size, flushes = await postgres.written(bench.many_url)
    seconds = (machine.cpu_seconds(pid) for pid in (bench.postgres.pid, bench.many.pid))
    return (size, flushes, *seconds)


async def starting(bench: Bench) -> dict[str, Any]:
    """From the command to the first answer, and the memory of a worker that rests."""
    seconds, resting = [], []
    for turn in range(_STARTS):
        bench.progress(f"starting, {turn + 1} of {_STARTS}")
        with servers.service(bench.folder, bench.few_url, name="starting") as server:
            seconds.append(server.start_seconds)
            await asyncio.sleep(1)
            resting.append(machine.megabytes(server.pid))
    return {"seconds": seconds, "megabytes": resting}


async def _flooded(
    server: Server,
    requests: Sequence[bytes],
    rate: float,
    seconds: float,
    connections: int = _MOST_CONNECTIONS,
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


def _per_core(runs: Sequence[Run]) -> float:
    """Requests a second for each core that load and PostgreSQL left to the workers."""
    return statistics.median(
        run.rate / (len(_BOTH_CORES) - run.load_cores - run.postgres_cpu * run.rate / 1000)
        for run in runs
    )


def _plain(runs: Sequence[Run]) -> dict[str, float]:
    return {field: load.median(runs, field) for field in ("rate", "p50", "p99", "megabytes")}
