"""Deliveries by several processes, under load, and when one of them dies."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest

from processes import ROOT, environment, referral, serving
from receivers import Receiver, eventually, receiving
from support import SECRET, Clock, Inbox, Person, Service

TAKE_OVER_SECONDS = 30


@pytest.mark.long
async def test_another_process_goes_on_when_the_one_that_delivers_is_killed(
    database_url: str, tmp_path: Path
) -> None:
    """Two servers and a worker: no event goes out twice at the same time, and none is lost."""
    async with receiving(delay=0.2) as team:
        settings = settings_of(database_url, team)
        with serving(tmp_path, **settings) as holder:
            await sign_in(holder.url, 1)
            await team.until(1)
            with serving(tmp_path, **settings) as other, working(tmp_path, settings):
                await sign_in(other.url, 40)
                await team.until(41)
                assert team.twice_at_once == []
                await sign_in(other.url, 40)
                os.kill(holder.process.pid, signal.SIGKILL)
                killed = monotonic()
                team.under_way.clear()
                people = await sign_in(other.url, 20)
                users = {person.id() for person in people}
                await eventually(
                    lambda: users <= {each.user for each in team.taken},
                    seconds=TAKE_OVER_SECONDS + 15,
                )
                print(f"took over after {monotonic() - killed:.1f} s")  # noqa: T201 - a figure
                assert len({each.id for each in team.taken}) == 101
                assert team.twice_at_once == []


@pytest.mark.long
async def test_no_event_is_lost_under_load_while_the_receiver_is_away(
    database_url: str, tmp_path: Path
) -> None:
    """200 events a second; the receiver is killed, and comes back after ten seconds."""
    async with receiving() as team:
        with serving(tmp_path, **plain_settings(database_url)) as server:
            people = await sign_in(server.url, 40)
            without = await latency(server.url, people[0], seconds=3)
        settings = settings_of(database_url, team)
        with serving(tmp_path, **settings) as server:
            people = [*people, *await sign_in(server.url, 1)]
            await team.until(1)
            begun = len(team.taken)
            made = asyncio.create_task(make_events(tmp_path, settings, people[:40], seconds=30))
            await asyncio.sleep(5)
            beside = await latency(server.url, people[0], seconds=4)
            await team.kill()
            away = await latency(server.url, people[0], seconds=10)
            await team.start()
            total = await made
            ended = monotonic()
            await eventually(
                lambda: len({each.id for each in team.taken}) >= begun + total, seconds=90
            )
            print(  # noqa: T201 - figures
                f"{total} events in 30 s, the last {monotonic() - ended:.1f} s after the load; "
                f"{len(team.taken) - begun - total} twice; a profile took {without:.1f} ms "
                f"without webhooks, {beside:.1f} ms beside deliveries, {away:.1f} ms while away"
            )
        told: dict[str, list[int]] = defaultdict(list)
        seen = set()
        for each in team.taken:
            if each.type == "user.phone_changed" and each.id not in seen:
                told[each.user].append(each.event["data"]["number"])
            seen.add(each.id)
        assert all(numbers == sorted(numbers) for numbers in told.values())
        assert sum(map(len, told.values())) == total
        assert max(beside, away) < 20 * without + 100


def settings_of(database_url: str, team: Receiver) -> dict[str, str]:
    return {**plain_settings(database_url), **team.settings}


def plain_settings(database_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REFERRAL_SECRET": SECRET,
        "REFERRAL_SENDS_PER_ADDRESS_HOUR": "100000",
        # Tokens of one server are good at the next one, on another port
        "REFERRAL_PUBLIC_URL": "http://127.0.0.1:8000",
    }


async def sign_in(url: str, number: int) -> list[Person]:
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        service = Service(http, Clock(), Inbox())
        return [await service.sign_in() for _ in range(number)]


async def latency(url: str, person: Person, *, seconds: float) -> float:
    """The median of profiles, in milliseconds."""
    headers = {"Authorization": f"Bearer {person.tokens['access_token']}"}
    taken, end = [], monotonic() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        while monotonic() < end:
            begun = monotonic()
            (await http.get("/api/v1/profile", headers=headers)).raise_for_status()
            taken.append((monotonic() - begun) * 1000)
            await asyncio.sleep(0.02)
    return statistics.median(taken)


async def make_events(
    folder: Path, settings: dict[str, str], people: list[Person], *, seconds: int
) -> int:
    """200 numbered events a second, in a process of their own; answers how many."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "tests/helpers/events.py"),
        settings["DATABASE_URL"],
        str(seconds),
        *(person.id() for person in people),
        env=environment(folder, **settings),
        stdout=subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    (number,) = re.findall(r"\d+", output.decode())
    return int(number)


@contextmanager
def working(folder: Path, settings: dict[str, str]) -> Iterator[None]:
    """`referral worker`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "referral", "worker"],
        cwd=folder,
        env=environment(folder, **settings),
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


async def test_the_commands_tell_and_replay(database_url: str, tmp_path: Path) -> None:
    async with receiving() as team:
        settings = settings_of(database_url, team)
        with serving(tmp_path, **settings) as server:
            (person,) = await sign_in(server.url, 1)
            await team.until(1)
            await asyncio.sleep(0.5)

            async def run(*command: str) -> str:
                done = await asyncio.to_thread(referral, tmp_path, "webhooks", *command, **settings)
                assert done.returncode == 0, done.stderr
                return done.stdout

            line = await run("tail", "--no-follow")
            assert line.count("\n") == 1
            assert team.taken[0].id in line
            assert person.phone in line
            status = await run("status")
            assert re.search(r"waiting +0\b", status)
            assert re.search(r"delivered in the last hour +1\b", status)
            assert await run("replay", "--type", "user.deleted") == "0 events go out again\n"
            assert await run("replay", "--since", "1h") == "1 event goes out again\n"
            again = await team.until(2)
            assert len({each.id for each in again}) == 1
        wrong = referral(tmp_path, "webhooks", "replay", "--since", "soon", **settings)
        assert wrong.returncode == 1
        assert wrong.stderr.startswith("referral: --since 'soon': write ")
