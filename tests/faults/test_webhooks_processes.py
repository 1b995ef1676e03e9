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

from endpoint_server import EndpointServer, endpoint_server
from processes import ROOT, environment, referral, serving
from support import SECRET, Clock, Inbox, Person, Service, eventually

TAKE_OVER_SECONDS = 30


@pytest.mark.long
async def test_another_process_takes_over_from_a_killed_dispatcher(
    database_url: str, tmp_path: Path
) -> None:
    """With two servers and a worker, no event is lost, and none has overlapping attempts."""
    async with endpoint_server(delay=0.2) as endpoint:
        settings = settings_of(database_url, endpoint)
        with serving(tmp_path, **settings) as holder:
            await sign_in(holder.url, 1)
            await endpoint.wait_acknowledged(1)
            with serving(tmp_path, **settings) as other, working(tmp_path, settings):
                await sign_in(other.url, 40)
                await endpoint.wait_acknowledged(41)
                assert endpoint.overlapping == []
                await sign_in(other.url, 40)
                os.kill(holder.process.pid, signal.SIGKILL)
                killed = monotonic()
                endpoint.in_progress.clear()
                people = await sign_in(other.url, 20)
                user_ids = {person.id() for person in people}
                await eventually(
                    lambda: user_ids <= {each.user_id for each in endpoint.acknowledged},
                    seconds=TAKE_OVER_SECONDS + 15,
                )
                print(f"took over after {monotonic() - killed:.1f} s")  # noqa: T201 - a figure
                assert len({each.id for each in endpoint.acknowledged}) == 101
                assert endpoint.overlapping == []


@pytest.mark.long
async def test_no_event_is_lost_under_load_while_endpoint_is_down(
    database_url: str, tmp_path: Path
) -> None:
    """At 200 events a second, the endpoint is killed, and started again after ten seconds."""
    async with endpoint_server() as endpoint:
        with serving(tmp_path, **plain_settings(database_url)) as server:
            people = await sign_in(server.url, 40)
            without = await profile_latency(server.url, people[0], seconds=3)
        settings = settings_of(database_url, endpoint)
        with serving(tmp_path, **settings) as server:
            people = [*people, *await sign_in(server.url, 1)]
            await endpoint.wait_acknowledged(1)
            before = len(endpoint.acknowledged)
            adding = asyncio.create_task(add_events(tmp_path, settings, people[:40], seconds=30))
            await asyncio.sleep(5)
            delivering = await profile_latency(server.url, people[0], seconds=4)
            await endpoint.kill()
            down = await profile_latency(server.url, people[0], seconds=10)
            await endpoint.start()
            total = await adding
            ended = monotonic()
            await eventually(
                lambda: len({each.id for each in endpoint.acknowledged}) >= before + total,
                seconds=90,
            )
            print(  # noqa: T201 - figures
                f"{total} events in 30 s, the last {monotonic() - ended:.1f} s after the load; "
                f"{len(endpoint.acknowledged) - before - total} twice; a profile took "
                f"{without:.1f} ms without webhooks, {delivering:.1f} ms during deliveries, "
                f"{down:.1f} ms while the endpoint was down"
            )
        received: dict[str, list[int]] = defaultdict(list)
        seen = set()
        for each in endpoint.acknowledged:
            if each.type == "user.phone_changed" and each.id not in seen:
                received[each.user_id].append(each.event["data"]["number"])
            seen.add(each.id)
        assert all(numbers == sorted(numbers) for numbers in received.values())
        assert sum(map(len, received.values())) == total
        assert max(delivering, down) < 20 * without + 100


def settings_of(database_url: str, endpoint: EndpointServer) -> dict[str, str]:
    return {**plain_settings(database_url), **endpoint.settings}


def plain_settings(database_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REFERRAL_SECRET": SECRET,
        "REFERRAL_SENDS_PER_ADDRESS_HOUR": "100000",
        # So that tokens of one server are valid at the next one, on another port
        "REFERRAL_PUBLIC_URL": "http://127.0.0.1:8000",
    }


async def sign_in(url: str, number: int) -> list[Person]:
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        service = Service(http, Clock(), Inbox())
        return [await service.sign_in() for _ in range(number)]


async def profile_latency(url: str, person: Person, *, seconds: float) -> float:
    """Return the median time to read the profile, in milliseconds."""
    headers = {"Authorization": f"Bearer {person.tokens['access_token']}"}
    times, end = [], monotonic() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        while monotonic() < end:
            start = monotonic()
            (await http.get("/api/v1/profile", headers=headers)).raise_for_status()
            times.append((monotonic() - start) * 1000)
            await asyncio.sleep(0.02)
    return statistics.median(times)


async def add_events(
    folder: Path, settings: dict[str, str], people: list[Person], *, seconds: int
) -> int:
    """Add 200 numbered events a second in another process; return how many."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "tests/helpers/event_writer.py"),
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


async def test_webhooks_commands(database_url: str, tmp_path: Path) -> None:
    async with endpoint_server() as endpoint:
        settings = settings_of(database_url, endpoint)
        with serving(tmp_path, **settings) as server:
            (person,) = await sign_in(server.url, 1)
            await endpoint.wait_acknowledged(1)
            await asyncio.sleep(0.5)

            async def run(*command: str) -> str:
                done = await asyncio.to_thread(referral, tmp_path, "webhooks", *command, **settings)
                assert done.returncode == 0, done.stderr
                return done.stdout

            line = await run("tail", "--no-follow")
            assert line.count("\n") == 1
            assert endpoint.acknowledged[0].id in line
            assert person.phone in line
            status = await run("status")
            assert re.search(r"waiting +0\b", status)
            assert re.search(r"delivered in the last hour +1\b", status)
            assert await run("replay", "--type", "user.deleted") == "0 events will be sent again\n"
            assert await run("replay", "--since", "1h") == "1 event will be sent again\n"
            again = await endpoint.wait_acknowledged(2)
            assert len({each.id for each in again}) == 1
        wrong = referral(tmp_path, "webhooks", "replay", "--since", "soon", **settings)
        assert wrong.returncode == 1
        assert wrong.stderr.startswith("referral: --since 'soon': write ")
