"""Things to be held against each other, and running them in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import load
import machine
from load import Run
from peer_material import BetterAuth, Twin
from postgres import Postgres
from servers import Server

Requests = Callable[[int], Awaitable[list[bytes]]]
Progress = Callable[[str], None]
Cases = dict[str, list[Run]]

# Of what an earlier run showed, so that no run uses its requests up; at least so many a second
_RESERVE, _LEAST = 1.6, 1000
_FOR_WARM_UP = 3000


@dataclass(frozen=True)
class Case:
    """Something to be held against others. requests(n): what to send in one run, n are enough.

    once: none of them works twice. cores: those that the load may use.
    """

    name: str
    server: Server
    requests: Requests
    once: bool = False
    connections: int = load.CONNECTIONS
    cores: Sequence[int] = (machine.OTHER_CORE,)


@dataclass(frozen=True)
class Bench:
    """Everything that is up, and for how long it is measured.

    users: how many there are in the database of many. progress(text): tells what goes on.
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


def again(name: str, server: Server, requests: list[bytes]) -> Case:
    """A case whose requests work any number of times."""

    async def all_of_them(_: int) -> list[bytes]:
        return requests

    return Case(name, server, all_of_them)


async def alternate(
    bench: Bench, cases: Sequence[Case], *, rounds: int | None = None, title: str = ""
) -> Cases:
    """Every case once to warm up, then A B C ..., A B C ...

    rounds: how often, where that is not the bench's own number. title: what they have in common.
    """
    rounds = rounds or bench.rounds
    title = f"{title}: " if title else ""
    numbers = {}
    for case in cases:
        bench.progress(f"{title}{case.name}: warm-up")
        warm = await run_case(bench, case, _FOR_WARM_UP, seconds=1)
        numbers[case.name] = needed(bench, warm.rate)
    found: Cases = {case.name: [] for case in cases}
    for turn in range(rounds):
        for case in cases:
            bench.progress(f"{title}{case.name}: {turn + 1} of {rounds}")
            done = await run_case(bench, case, numbers[case.name])
            found[case.name].append(done)
            numbers[case.name] = max(numbers[case.name], needed(bench, done.rate))
    return found


async def run_case(
    bench: Bench,
    case: Case,
    number: int,
    *,
    seconds: int | None = None,
) -> Run:
    return await load.run(
        case.server,
        await case.requests(number),
        once=case.once,
        seconds=seconds or bench.seconds,
        postgres_pid=bench.postgres.pid,
        connections=case.connections,
        cores=case.cores,
    )


def needed(bench: Bench, rate: float) -> int:
    """Requests for a run at this rate."""
    return int(max(rate * _RESERVE, _LEAST) * bench.seconds) + load.CONNECTIONS
