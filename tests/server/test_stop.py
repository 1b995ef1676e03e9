"""A server that is asked to end, and those who are connected to it or come just then."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import pytest

from processes import (
    Server,
    environment,
    process_tree,
    free_port,
    referral,
    serving,
    wait_until_ready,
)

_HALF = b"GET /health/live HTTP/1.1\r\nHost: "
_OTHER_HALF = b"x\r\n\r\n"
# How late a request may come, in seconds: less than the server waits
_LATE = 0.25
_BODY = b'{"phone":"+79161234567"}'
_HEAD = (
    b"POST /api/v1/auth/send-code HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(_BODY)
)

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(params=["1", "2"], ids=["one-process", "two-workers"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    url = f"sqlite://{tmp_path}/referral.sqlite3"
    with serving(tmp_path, DATABASE_URL=url, WEB_CONCURRENCY=request.param) as one:
        yield one


@pytest.mark.parametrize("already", [b"", _HALF], ids=["nothing", "half-a-head"])
@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
async def test_what_is_on_its_way_is_answered(
    server: Server, already: bytes, *, is_used: bool
) -> None:
    """A connection may be there before its request, whether it is its first or not."""
    async with connected(server) as (reader, writer):
        if is_used:
            writer.write(_HALF + _OTHER_HALF)
            assert b"connection: close" not in (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(len(b'{"status":"ok"}'))
        writer.write(already)
        await until_refused(server, asked=await ask(server))
        await asyncio.sleep(_LATE)
        writer.write((_HALF + _OTHER_HALF).removeprefix(already))
        answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer.lower()
    assert await asyncio.to_thread(server.process.wait, 10) == 0


async def test_who_asks_for_nothing_holds_it_up_for_a_moment(server: Server) -> None:
    async with connected(server) as (reader, writer), connected(server) as (other, _):
        writer.write(_HALF)
        asked = await ask(server)
        assert await reader.read() == b""
        assert await other.read() == b""
        await asyncio.to_thread(server.process.wait, 15)
    assert monotonic() - asked < 10


async def test_who_comes_while_it_ends_is_refused_at_once(server: Server) -> None:
    """So a proxy takes the next server, which it may not once a request is sent."""
    async with connected(server) as (reader, writer):
        await begin(reader, writer)
        await until_refused(server, asked=await ask(server))
        assert server.process.poll() is None
        writer.write(_BODY)
        answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_all_processes_may_be_asked_at_the_same_time(server: Server) -> None:
    """As platforms do it: the parent process first or last, or a worker."""
    async with connected(server) as (reader, writer):
        await begin(reader, writer)
        asked = monotonic()
        for process in reversed(process_tree(server.process.pid)):
            os.kill(process, signal.SIGTERM)
        await until_refused(server, asked=asked)
        writer.write(_BODY)
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 200 ")
    assert await asyncio.to_thread(server.process.wait, 10) == 0
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_whoever_asks_twice_does_not_wait(tmp_path: Path, workers: str) -> None:
    """As with Ctrl+C, which all its processes get."""
    with starting(tmp_path, workers=workers) as one:
        wait_until_ready(one)
        where = urlsplit(one.url)
        with socket.create_connection((where.hostname, where.port)):
            for _ in range(2):
                time.sleep(0.3)
                os.killpg(one.process.pid, signal.SIGINT)
            assert one.process.wait(5) in {0, 130}


def test_it_may_be_asked_between_the_starts_of_two_workers(tmp_path: Path) -> None:
    with starting(tmp_path, workers="4") as one:
        # Itself, Python's tracker of resources, and a worker
        until_processes(one, 3)
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(20) == 0
        assert "Traceback" not in one.log.read_text()


def test_it_may_be_asked_while_its_workers_are_replaced(tmp_path: Path) -> None:
    with starting(tmp_path, workers="2") as one:
        wait_until_ready(one)
        number = len(process_tree(one.process.pid))
        one.process.send_signal(signal.SIGHUP)
        until_processes(one, number + 1)
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(20) == 0
        assert "Traceback" not in one.log.read_text()


async def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """They answer what is under way, and leave the port to the next server."""
    url = f"sqlite://{tmp_path}/referral.sqlite3"
    with serving(tmp_path, DATABASE_URL=url, WEB_CONCURRENCY="2") as server:
        workers = process_tree(server.process.pid)[1:]
        async with connected(server) as (reader, writer):
            await begin(reader, writer)
            server.process.kill()
            await until_refused(server, asked=monotonic())
            writer.write(_BODY)
            assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 200 ")
        deadline = monotonic() + 15
        while any(is_running(worker) for worker in workers):
            assert monotonic() < deadline
            await asyncio.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2]
    except FileNotFoundError:
        return False
    # Ended, where nobody has asked how yet
    return state.split()[0] != "Z"


@contextmanager
def starting(folder: Path, *, workers: str) -> Iterator[Server]:
    """A server that has been started, and has perhaps not come up yet."""
    variables = {
        "DATABASE_URL": f"sqlite://{folder}/referral.sqlite3",
        "WEB_CONCURRENCY": workers,
        "PORT": str(free_port()),
    }
    assert referral(folder, "migrate", **variables).returncode == 0
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "referral", "serve"],
            cwd=folder,
            env=environment(folder, **variables),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Server(f"http://127.0.0.1:{variables['PORT']}", process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until_processes(server: Server, number: int) -> None:
    deadline = monotonic() + 20
    while len(process_tree(server.process.pid)) < number:
        assert monotonic() < deadline
        time.sleep(0.001)


async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for a code, until the service waits for the body."""
    writer.write(_HEAD)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")


async def ask(server: Server) -> float:
    """Ask it to end, once all who connected are let in. When that was."""
    async with connected(server) as (reader, writer):
        writer.write(_HALF + _OTHER_HALF)
        await reader.readuntil(b"\r\n\r\n")
    server.process.send_signal(signal.SIGTERM)
    return monotonic()


async def until_refused(server: Server, *, asked: float) -> None:
    """Come until nobody is let in any more, within two seconds."""
    while True:
        try:
            async with connected(server):
                pass
        except (ConnectionRefusedError, ConnectionResetError):
            # Reset: it waited to be let in when the socket was closed
            return
        assert monotonic() - asked < 2
        await asyncio.sleep(0.01)


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Ends]:
    where = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
