"""Measure the service beside floors and peers in one run: `make bench`, or `make bench-short`.

A short run has fewer users and rounds, for trying things out; it writes only into .cache/bench/. A
whole run also writes docs/performance.md and docs/performance.svg.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

import earning
import load
import machine
import measures
import postgres
import processes
import report
import reward_rows
import rows
import servers
import stress
from cases import Bench, Progress
from peer_material import BetterAuth, BetterAuthProvider, Twin
from referral.assembly import system_clock

CACHE = processes.ROOT / ".cache" / "bench"
DOCUMENT = processes.ROOT / "docs" / "performance.md"
PICTURE = processes.ROOT / "docs" / "performance.svg"
PYTHON = CACHE / "venv" / "bin" / "python"
_CASES, _OTHER_STEPS, _EMBEDDED = 40, 23, 36


@dataclass(frozen=True)
class Mode:
    """How much is measured. seconds: the length of one run."""

    users: int
    rounds: int
    seconds: int

    @property
    def steps(self) -> int:
        """About how often the progress is reported."""
        embedded = _EMBEDDED * (1 + (self.rounds + 1) // 2)
        return _OTHER_STEPS + _CASES * (1 + self.rounds) + 2 * self.rounds + embedded


WHOLE = Mode(users=10_000_000, rounds=5, seconds=3)
SHORT = Mode(users=rows.LEAST_OF_MANY + reward_rows.NEWCOMERS, rounds=3, seconds=1)


def main(*, short: bool) -> None:
    mode = SHORT if short else WHOLE
    machine.keep_off_the_server()
    with progress_bar(mode.steps) as progress:
        results = asyncio.run(measure(mode, progress))
    name = "short" if short else "whole"
    CACHE.mkdir(parents=True, exist_ok=True)
    raw = CACHE / f"{name}.json"
    raw.write_text(json.dumps(results, indent=1))
    picture = CACHE / f"{name}.svg" if short else PICTURE
    subprocess.run([PYTHON, servers.BENCH / "plot.py", raw, picture], check=True)
    if not short:
        report.write(results, DOCUMENT)
    print(report.tables(results))
    print(f"\n{raw} has every run, {picture} the picture")


async def measure(mode: Mode, progress: Progress) -> dict[str, Any]:
    async with setup(mode, progress) as (bench, sizes):
        cases = {
            "reading": await measures.reading(bench),
            "sending": await measures.sending(bench),
            "signing_in": await measures.signing_in(bench),
            "signing_in_to_apps": await measures.signing_in_to_apps(bench),
            "earning": await earning.measure(bench),
        }
        capacities = {
            "profile": load.median(cases["reading"]["profile, 10 invitees"], "rate"),
            "send-code": load.median(cases["sending"]["send-code, 1,000,000 counters"], "rate"),
            "verify": load.median(cases["signing_in"][f"verify, {mode.users:,} users"], "rate"),
        }
        found: dict[str, Any] = {
            "day": system_clock().date().isoformat(),
            "mode": asdict(mode),
            "machine": describe_machine(bench.postgres),
            "cases": {
                group: {name: [asdict(run) for run in runs] for name, runs in found.items()}
                for group, found in cases.items()
            },
            "overload": await stress.overload(bench, capacities),
            "embedded": await stress.embedded(bench),
            "durable": await stress.durable(bench),
            "workers": await stress.two_workers(bench, capacities),
            "starting": await stress.starting(bench),
            "bytes": sizes,
            # The starting point that PostgreSQL's documentation recommends for shared_buffers
            "buffers": stress.a_quarter_of_memory(),
        }
        found["cases"]["buffered"] = await stress.buffered(bench, found["buffers"])
        return found


@asynccontextmanager
async def setup(mode: Mode, progress: Progress) -> AsyncIterator[tuple[Bench, dict[str, float]]]:
    """Start everything that is measured and fill its tables.

    Yield it together with the size of a row of each table on disk, in bytes.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="referral-bench-")))
        progress("PostgreSQL")
        place = await stack.enter_async_context(postgres.running(folder / "postgres"))
        for name in ("few", "many", "twin", "better_auth", "better_auth_provider"):
            await postgres.execute(place.url, f"CREATE DATABASE {name}")
        few_url, many_url = place.url_of("few"), place.url_of("many")
        # Fill the tables before serving, so that no statement is planned for empty ones
        for url in (few_url, many_url):
            servers.migrate(folder, url)
        progress("bytes on disk")
        sizes = await rows.bytes_on_disk(few_url)
        progress(f"{mode.users:,} users, {rows.MILLION:,} counters")
        await rows.fill_few(few_url)
        await rows.fill_many(many_url, mode.users)
        await rows.fill_counters(many_url, rows.MILLION)
        await reward_rows.fill(many_url)
        progress("servers")
        started = {
            "few": servers.service(folder, few_url, name="few"),
            "many": servers.service(folder, many_url, name="many"),
            "floors": servers.floors(folder, place, "many"),
            "twin": servers.twin(folder, place, "twin"),
            "better_auth": servers.better_auth(folder, place, "better_auth"),
            "better_auth_provider": servers.better_auth_provider(
                folder, place, "better_auth_provider"
            ),
        }
        found = {name: stack.enter_context(server) for name, server in started.items()}
        twin = Twin(found["twin"], place.url_of("twin"))
        better_auth = BetterAuth(found["better_auth"], place.url_of("better_auth"))
        provider = BetterAuthProvider(place.url_of("better_auth_provider"))
        progress("users of the peers")
        await twin.prepare()
        await better_auth.prepare()
        await provider.prepare()
        bench = Bench(
            folder=folder,
            postgres=place,
            twin_material=twin,
            better_auth_material=better_auth,
            provider_material=provider,
            users=mode.users,
            rounds=mode.rounds,
            seconds=mode.seconds,
            progress=progress,
            **found,
        )
        yield bench, sizes


def describe_machine(server: postgres.Postgres) -> dict[str, str]:
    """Return the machine and the versions of what runs on it."""
    package = json.loads((servers.BENCH / "peers" / "better-auth" / "package.json").read_text())
    requirements = (servers.BENCH / "requirements.txt").read_text().splitlines()
    (fastapi,) = (line.split()[0] for line in requirements if line.startswith("fastapi=="))
    return {
        **machine.describe(),
        "postgresql": server.version,
        "better-auth": package["dependencies"]["better-auth"],
        "fastapi": fastapi.removeprefix("fastapi=="),
    }


@contextmanager
def progress_bar(steps: int) -> Iterator[Progress]:
    """Show a bar that names what is being measured."""
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=steps)
        yield lambda what: bar.update(task, advance=1, description=what)


if __name__ == "__main__":
    main(short="--short" in sys.argv[1:])
