"""What is measured: each function answers for one question."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import load
import machine
import material
import postgres
import rows
import servers
from load import Run
from material import BetterAuth, Twin
from postgres import Postgres
from servers import Server

Requests = Callable[[int], Awaitable[list[bytes]]]
Progress = Callable[[str], None]
Cases = dict[str, list[Run]]

# Of what the warm-up showed, so that no run uses its requests up
_RESERVE = 1.6
_FIRST = 3000
_OVERLOAD = 2
_QUIET, _LEAST_QUIET = 0.1, 300
_STARTS = 5
_REST_SECONDS = 2
_BOTH_CORES = (machine.SERVER_CORE, machine.OTHER_CORE)


@dataclass(frozen=True)
class Case:
    """Something to be held against others. requests(n): what to send in one run, n are enough.

    once: none of them works twice.
    """

    name: str
    server: Server
    requests: Requests
    once: bool = False


@dataclass(frozen=True)
class Bench:
    """Everything that is up, and for how long it is measured.

    users: how many there are in the database of many. report(text): tells what goes on.
    """

    folder: Path
    postgres: Postgres
    few: Server
    many: Server
    floors: Server
    twin: Server
    better_auth: Server
    twin_material: Twin
    better_auth_material: BetterAuth
    users: int
    rounds: int
    seconds: int
    progress: Progress

    @property
    def few_url(self) -> str:
        return self.postgres.url_of("few")

    @property
    def many_url(self) -> str:
        return self.postgres.url_of("many")


async def reading(bench: Bench) -> Cases:
    """The profile beside the floors and peers, and as lists grow to a million."""
    everybody = range(1, rows.PROFILES + 1)
    ids = [rows.user_id(user) for user in everybody]
    thousand, million = [rows.OF_A_THOUSAND], [rows.OF_A_MILLION]
    deep = rows.page_after(rows.MILLION * 9 // 10)
    page = "/profile/invitees?limit=100"

    async def service(name: str, path: str, users: Sequence[int]) -> Case:
        return _again(name, bench.many, await material.reads(bench.many_url, path, users))

    def floor(name: str, path: str) -> Case:
        requests = [material.get(f"/{path}/{each}") for each in ids]
        return _again(name, bench.floors, requests)

    twin, better_auth = bench.twin_material, bench.better_auth_material
    return await _alternate(
        bench,
        [
            _again("Litestar, bare", bench.floors, [material.get("/bare")]),
            floor("Litestar + asyncpg, one row", "row"),
            floor("Litestar + Tortoise, one row", "model"),
            await service("profile, 10 invitees", "/profile", everybody),
            await service("profile, 1,000 invitees", "/profile", thousand),
            await service("profile, 1,000,000 invitees", "/profile", million),
            await service("first page of 1,000,000", page, million),
            await service("page 900,000 deep", f"{page}&cursor={deep}", million),
            await service("page of 1,000, first", "/profile/invitees?limit=1000", thousand),
            _again("twin: profile, 10 invitees", bench.twin, twin.reads()),
            _again("better-auth: session", bench.better_auth, await better_auth.reads()),
        ],
    )


async def sending(bench: Bench) -> Cases:
    """send-code: every guard and counter, no wait of the gateway's."""

    async def without_counters(number: int) -> list[bytes]:
        await postgres.execute(bench.few_url, "TRUNCATE counters")
        return material.send_codes(number)

    async def service(number: int) -> list[bytes]:
        return material.send_codes(number)

    async def one_address(number: int) -> list[bytes]:
        return material.send_codes(number, address=material.ONE_ADDRESS)

    async def better_auth(number: int) -> list[bytes]:
        return bench.better_auth_material.send_codes(number)

    return await _alternate(
        bench,
        [
            _again("Litestar, bare", bench.floors, [material.get("/bare")]),
            Case("send-code", bench.few, without_counters, once=True),
            Case("send-code, 1,000,000 counters", bench.many, service, once=True),
            Case("send-code, from one address", bench.many, one_address, once=True),
            Case("twin: send-code", bench.twin, service, once=True),
            Case("better-auth: send-otp", bench.better_auth, better_auth, once=True),
        ],
    )


async def signing_in(bench: Bench) -> Cases:
    """Verify of users who exist, and refresh: whole transactions, sessions, tokens."""

    async def few(number: int) -> list[bytes]:
        return material.verifications(number, users=rows.FEW)

    async def many(number: int) -> list[bytes]:
        return material.verifications(number, users=bench.users)

    async def one_address(number: int) -> list[bytes]:
        return material.verifications(number, users=rows.FEW, address=material.ONE_ADDRESS)

    async def refreshes(number: int) -> list[bytes]:
        return await material.refreshes(bench.few_url, number, users=rows.FEW)

    twin, better_auth = bench.twin_material, bench.better_auth_material
    return await _alternate(
        bench,
        [
            Case("verify, 1,000 users", bench.few, few, once=True),
            Case(f"verify, {bench.users:,} users", bench.many, many, once=True),
            Case("verify, from one address", bench.few, one_address, once=True),
            Case("refresh", bench.few, refreshes, once=True),
            _again("twin: verify", bench.twin, twin.verifications()),
            Case("twin: refresh", bench.twin, twin.refreshes, once=True),
            Case("better-auth: verify", bench.better_auth, better_auth.verifications, once=True),
        ],
    )


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
                number = _needed(bench, 2 * capacities[name])
                alone.append(await _run(bench, Case(name, bench.many, requests, once), number))
                machine.move(bench.postgres.pid, _BOTH_CORES)
                pairs.append(
                    await _run(bench, Case(name, two, requests, once), number, cores=_BOTH_CORES)
                )
                machine.move(bench.postgres.pid, {machine.OTHER_CORE})
            found[name] = {
                "one": _plain(alone),
                "two": _plain(pairs),
                "scaling": _per_core(pairs) * 2 / load.median(alone, "rate"),
            }
    return found


async def overload(bench: Bench, capacities: dict[str, float]) -> dict[str, Any]:
    """Twice what the service can do: what of it is accepted, and how fast, and what is shed.

    capacities: requests a second that were seen with 32 connections.
    """
    reads = await material.reads(bench.many_url, "/profile", range(1, rows.PROFILES + 1))
    kinds: dict[str, Callable[[int], list[bytes]]] = {
        "profile": lambda _: reads,
        "send-code": material.send_codes,
        "verify": lambda number: material.verifications(number, users=bench.users),
    }
    found: dict[str, dict[str, Any]] = {}
    for name, requests in kinds.items():
        capacity = capacities[name]
        found[name] = {"capacity": capacity}
        for kind, times in {"unloaded": _QUIET, "overloaded": _OVERLOAD}.items():
            bench.progress(f"overload: {name}, {kind}")
            rate = capacity * times
            seconds = max(bench.seconds, 2, _LEAST_QUIET / rate)
            sent = requests(int(rate * seconds))
            found[name][kind] = await _flooded(bench.many, sent, rate, seconds)
            await asyncio.sleep(_REST_SECONDS)
    return found


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


async def _alternate(bench: Bench, cases: Sequence[Case]) -> Cases:
    """Every case once to warm up, then A B C ..., A B C ..."""
    needed = {}
    for case in cases:
        bench.progress(f"{case.name}: warm-up")
        warm = await _run(bench, case, _FIRST, seconds=1)
        needed[case.name] = _needed(bench, warm.rate)
    found: Cases = {case.name: [] for case in cases}
    for turn in range(bench.rounds):
        for case in cases:
            bench.progress(f"{case.name}: {turn + 1} of {bench.rounds}")
            done = await _run(bench, case, needed[case.name])
            found[case.name].append(done)
            needed[case.name] = max(needed[case.name], _needed(bench, done.rate))
    return found


def _needed(bench: Bench, rate: float) -> int:
    """Requests for a run at this rate."""
    return int(rate * bench.seconds * _RESERVE) + load.CONNECTIONS


async def _run(
    bench: Bench,
    case: Case,
    number: int,
    *,
    seconds: int | None = None,
    cores: Sequence[int] = (machine.OTHER_CORE,),
) -> Run:
    return await load.run(
        case.server,
        await case.requests(number),
        once=case.once,
        seconds=seconds or bench.seconds,
        postgres_pid=bench.postgres.pid,
        cores=cores,
    )


async def _flooded(
    server: Server, requests: Sequence[bytes], rate: float, seconds: float
) -> dict[str, Any]:
    with NamedTemporaryFile(prefix="requests-") as file:
        file.write(b"".join(each + b"\0" for each in requests))
        file.flush()
        script = Path(__file__).parent / "flood.py"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *map(str, (script, server.port, file.name, rate, seconds)),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    return {**json.loads(output), "seconds": seconds}


def _again(name: str, server: Server, requests: list[bytes]) -> Case:
    async def all_of_them(_: int) -> list[bytes]:
        return requests

    return Case(name, server, all_of_them)


def _per_core(runs: Sequence[Run]) -> float:
    """Requests a second for each core that load and PostgreSQL left to the workers."""
    return statistics.median(
        run.rate / (len(_BOTH_CORES) - run.load_cores - run.postgres_cpu * run.rate / 1000)
        for run in runs
    )


def _plain(runs: Sequence[Run]) -> dict[str, float]:
    return {field: load.median(runs, field) for field in ("rate", "p50", "p99", "megabytes")}
