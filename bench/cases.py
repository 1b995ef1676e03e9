"""Cases that are compared with each other, and how they run in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import load
import machine
import material
import rows
from load import Run
from peer_material import BetterAuth, BetterAuthProvider, Twin
from postgres import Postgres
from servers import Server

Requests = Callable[[int], Awaitable[list[bytes]]]
Progress = Callable[[str], None]
Cases = dict[str, list[Run]]

# A run gets this many times the requests of an earlier run, so that they do not run out, and at
# least this many a second
_RESERVE, _MIN_RATE = 1.6, 1000
_WARM_UP_REQUESTS = 3000


@dataclass(frozen=True)
class Case:
    """A server and the requests that are sent to it.

    requests(n): makes the requests of one run, of which n are enough. once: each request works only
    once. cores: those that the load generator may use.
    """

    name: str
    server: Server
    requests: Requests
    once: bool = False
    connections: int = load.CONNECTIONS
    cores: Sequence[int] = (machine.OTHER_CORE,)


@dataclass(frozen=True)
class Bench:
    """Everything that has been started, and for how long it is measured.

    users: how many the database of `many` has. progress(text): reports what is being measured.
    """

    folder: Path
    postgres: Postgres
    few: Server
    many: Server
    floors: Server
    twin: Server
    better_auth: Server
    better_auth_provider: Server
    twin_material: Twin
    better_auth_material: BetterAuth
    provider_material: BetterAuthProvider
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

    @property
    def verify_few(self) -> Requests:
        return partial(material.verifications, users=rows.FEW)

    @property
    def verify_many(self) -> Requests:
        return partial(material.verifications, users=self.users)

    async def read_profiles(self) -> Requests:
        """Sign in 1,000 users with ten invitees each, and read their profiles."""
        users = range(1, rows.PROFILES + 1)
        return always(await material.reads(self.many_url, "/profile", users))


def always(requests: list[bytes]) -> Requests:
    """Send the same requests in every run."""

    async def all_of_them(_: int) -> list[bytes]:
        return requests

    return all_of_them


async def alternate(
    bench: Bench, cases: Sequence[Case], *, rounds: int | None = None, title: str = ""
) -> Cases:
    """Run every case once to warm up, then A B C ..., A B C ...

    rounds: how often, if not as often as the bench says. title: what the cases have in common.
    """
    rounds = rounds or bench.rounds
    title = f"{title}: " if title else ""
    numbers = {}
    for case in cases:
        bench.progress(f"{title}{case.name}: warm-up")
        warm = await run_case(bench, case, _WARM_UP_REQUESTS, seconds=1)
        numbers[case.name] = requests_needed(bench, warm.rate)
    found: Cases = {case.name: [] for case in cases}
    for turn in range(rounds):
        for case in cases:
            bench.progress(f"{title}{case.name}: {turn + 1} of {rounds}")
            done = await run_case(bench, case, numbers[case.name])
            found[case.name].append(done)
            numbers[case.name] = max(numbers[case.name], requests_needed(bench, done.rate))
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


def requests_needed(bench: Bench, rate: float) -> int:
    """Return how many requests a run at this rate needs."""
    return int(max(rate * _RESERVE, _MIN_RATE) * bench.seconds) + load.CONNECTIONS
