"""Attacks on the sign-in to apps, at four worker processes: races, and processes that die."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from endpoint_server import endpoint_server
from pages import Browser
from parallel_requests import assert_nothing_broke, client
from processes import Server, process_tree, referral, serving
from referral.storage import database
from relying_party import CALLBACK, App
from support import SECRET, Clock, Inbox, Service, eventually, new_phone, ok

OFFLINE = "openid offline_access"
PARALLEL = 50
RACES = 3
ROUNDS = 15


def settings_of(database_url: str, **more: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REFERRAL_SECRET": SECRET,
        "WEB_CONCURRENCY": "4",
        **more,
    }


def new_app(folder: Path, settings: dict[str, str], http: httpx.AsyncClient) -> App:
    """Register a client by the command."""
    command = ("client", "new", "Shop", "--redirect-uri", CALLBACK)
    made = referral(folder, *command, **settings)
    assert made.returncode == 0, made.stderr
    found = dict(line.split("=") for line in made.stdout.splitlines() if "=" in line)
    service = Service(http, Clock(), Inbox())
    return App(service, found["client_id"], found["client_secret"], CALLBACK)


@asynccontextmanager
async def visiting(server: Server) -> AsyncIterator[Browser]:
    """Open a browser whose forms come from the server's own origin."""

    async def set_origin(request: httpx.Request) -> None:
        if "origin" in request.headers:
            request.headers["origin"] = server.url

    hooks = {"request": [set_origin]}
    async with httpx.AsyncClient(base_url=server.url, timeout=60, event_hooks=hooks) as http:
        yield Browser(http, new_phone())


async def live_sessions(database_url: str, app: App) -> int:
    """Return how many sessions the client has in the database."""
    await database.connect(database_url)
    try:
        sql = "SELECT count(*) AS number FROM sessions WHERE client_id = $1"
        (row,) = await database.query(sql, app.client_id)
        number: int = row["number"]
        return number
    finally:
        await database.disconnect()


def workers(server: Server) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(server.process.pid).children():
        # Some end meanwhile
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            if any("spawn_main" in part for part in process.cmdline()):
                found.append(process)
    return found


async def test_50_exchanges_at_once_issue_one_set_of_tokens(
    database_url: str, tmp_path: Path
) -> None:
    """And end it: its code was seen twice. The app hears of it once."""
    async with endpoint_server() as endpoint:

        def reasons() -> list[str]:
            events = [each.event for each in endpoint.acknowledged]
            return [each["data"]["reason"] for each in events if each["type"] == "session.ended"]

        settings = settings_of(database_url, **endpoint.settings)
        with serving(tmp_path, **settings) as server:
            async with client(server) as http, visiting(server) as browser:
                app = new_app(tmp_path, settings, http)
                for _ in range(RACES):
                    code = await app.code(browser, scope=OFFLINE)
                    exchanges = (app.exchange(code) for _ in range(PARALLEL))
                    responses = await asyncio.gather(*exchanges)
                    assert_nothing_broke(responses, server)
                    await expect_one_dead_set(app, responses)
                    assert await live_sessions(database_url, app) == 0
            await eventually(lambda: len(reasons()) == RACES)
    assert set(reasons()) == {"reused"}


async def expect_one_dead_set(app: App, responses: list[httpx.Response]) -> None:
    """Expect that one exchange succeeded, and that its tokens are worthless in every process."""
    assert Counter(each.status_code for each in responses) == {200: 1, 400: PARALLEL - 1}
    assert {each.json()["error"] for each in responses if each.is_error} == {"invalid_grant"}
    [tokens] = [each.json() for each in responses if each.is_success]
    bearer = f"Bearer {tokens['access_token']}"
    for _ in range(8):
        info = await app.service.get("/oauth/userinfo", Authorization=bearer)
        assert info.status_code == 401
        refreshed = await app.refresh(tokens["refresh_token"])
        assert refreshed.json()["error"] == "invalid_grant"


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
async def test_a_code_survives_a_killed_server(database_url: str, tmp_path: Path) -> None:
    """Every process is killed between the code and the exchange, which another server answers."""
    settings = settings_of(database_url)
    with serving(tmp_path, **settings) as server:
        async with client(server) as http, visiting(server) as browser:
            app = new_app(tmp_path, settings, http)
            code = await app.code(browser, scope=OFFLINE)
        for pid in {*process_tree(server.process.pid), *(each.pid for each in workers(server))}:
            os.kill(pid, signal.SIGKILL)
        server.process.wait()
    with serving(tmp_path, **settings) as server:
        async with client(server) as http:
            app = App(Service(http, Clock(), Inbox()), app.client_id, app.secret, CALLBACK)
            tokens = ok(await app.exchange(code))
            ok(await app.refresh(tokens["refresh_token"]))


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
async def test_a_killed_exchange_happens_once_or_never(database_url: str, tmp_path: Path) -> None:
    """The app repeats a request that got no response. Then it has tokens, or no session is left."""
    random, settings = Random(7), settings_of(database_url)  # noqa: S311 - a seed
    outcomes: Counter[str] = Counter()
    with serving(tmp_path, **settings) as server:
        async with client(server, timeout=20) as http:
            app = new_app(tmp_path, settings, http)
            for _ in range(ROUNDS):
                before = await live_sessions(database_url, app)
                async with visiting(server) as browser:
                    code = await app.code(browser, scope=OFFLINE)
                exchanging = asyncio.create_task(app.exchange(code))
                await asyncio.sleep(random.uniform(0.0, 0.03))
                for worker in workers(server):
                    os.kill(worker.pid, signal.SIGKILL)
                try:
                    assert (await exchanging).status_code == 200
                    outcomes["answered"] += 1
                    added = 1
                except httpx.TransportError:
                    repeated = await app.exchange(code)
                    added = 1 if repeated.status_code == 200 else 0
                    outcomes["repeated" if added else "ended"] += 1
                    if not added:
                        assert repeated.json()["error"] == "invalid_grant"
                assert await live_sessions(database_url, app) == before + added
    assert outcomes["repeated"] + outcomes["ended"] > 0, outcomes
