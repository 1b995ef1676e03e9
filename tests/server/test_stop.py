"""Stopping a server: what happens to connections and requests meanwhile."""

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
    free_port,
    is_running,
    process_tree,
    referral,
    serving,
    wait_until_ready,
)

_HALF = b"GET /health/live HTTP/1.1\r\nHost: "
_OTHER_HALF = b"x\r\n\r\n"
# Seconds after the signal, fewer than the server waits for a connection's last request
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
    with serving(tmp_path, DATABASE_URL=url, WEB_CONCURRENCY=request.param) as started:
        yield started


@pytest.mark.parametrize("already", [b"", _HALF], ids=["nothing", "half-a-head"])
@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
async def test_request_on_its_way_gets_a_response(
    server: Server, already: bytes, *, is_used: bool
) -> None:
    """Its connection was opened before the signal; the request arrives after it."""
    async with connected(server) as (reader, writer):
        if is_used:
            writer.write(_HALF + _OTHER_HALF)
            assert b"connection: close" not in (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(len(b'{"status":"ok"}'))
        writer.write(already)
        await until_refused(server, signalled=await send_sigterm(server))
        await asyncio.sleep(_LATE)
        writer.write((_HALF + _OTHER_HALF).removeprefix(already))
        response = await asyncio.wait_for(reader.read(), 5)
    assert response.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in response.lower()
    assert await asyncio.to_thread(server.process.wait, 10) == 0


async def test_idle_connections_hardly_delay_the_stop(server: Server) -> None:
    async with connected(server) as (reader, writer), connected(server) as (other, _):
        writer.write(_HALF)
        signalled = await send_sigterm(server)
        assert await reader.read() == b""
        assert await other.read() == b""
        await asyncio.to_thread(server.process.wait, 15)
    assert monotonic() - signalled < 10


async def test_new_connections_are_refused_immediately(server: Server) -> None:
    """A proxy then tries the next server, which it must not do once a request is sent."""
    async with connected(server) as (reader, writer):
        await begin(reader, writer)
        await until_refused(server, signalled=await send_sigterm(server))
        assert server.process.poll() is None
        writer.write(_BODY)
        response = await asyncio.wait_for(reader.read(), 10)
    assert response.startswith(b"HTTP/1.1 200 ")


async def test_signal_may_reach_all_processes(server: Server) -> None:
    """Platforms send it to every process, in any order."""
    async with connected(server) as (reader, writer):
        await begin(reader, writer)
        signalled = monotonic()
        for pid in reversed(process_tree(server.process.pid)):
            os.kill(pid, signal.SIGTERM)
        await until_refused(server, signalled=signalled)
        writer.write(_BODY)
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 200 ")
    assert await asyncio.to_thread(server.process.wait, 10) == 0
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_second_signal_stops_it_immediately(tmp_path: Path, workers: str) -> None:
    """The signal is that of Ctrl+C, which all its processes get."""
    with starting(tmp_path, workers=workers) as server:
        wait_until_ready(server)
        url = urlsplit(server.url)
        with socket.create_connection((url.hostname, url.port)):
            for _ in range(2):
                time.sleep(0.3)
                os.killpg(server.process.pid, signal.SIGINT)
            assert server.process.wait(5) in {0, 130}


def test_signal_between_the_starts_of_two_workers(tmp_path: Path) -> None:
    with starting(tmp_path, workers="4") as server:
        # The parent, Python's resource tracker, and a worker
        until_processes(server, 3)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert "Traceback" not in server.log.read_text()


def test_signal_while_workers_are_replaced(tmp_path: Path) -> None:
    with starting(tmp_path, workers="2") as server:
        wait_until_ready(server)
        number = len(process_tree(server.process.pid))
        server.process.send_signal(signal.SIGHUP)
        until_processes(server, number + 1)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert "Traceback" not in server.log.read_text()


async def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    """They finish requests in progress, and free the port for the next server."""
    url = f"sqlite://{tmp_path}/referral.sqlite3"
    with serving(tmp_path, DATABASE_URL=url, WEB_CONCURRENCY="2") as server:
        workers = process_tree(server.process.pid)[1:]
        async with connected(server) as (reader, writer):
            await begin(reader, writer)
            server.process.kill()
            await until_refused(server, signalled=monotonic())
            writer.write(_BODY)
            assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 200 ")
        deadline = monotonic() + 15
        while any(is_running(worker) for worker in workers):
            assert monotonic() < deadline
            await asyncio.sleep(0.05)


@contextmanager
def starting(folder: Path, *, workers: str) -> Iterator[Server]:
    """Start a server, without waiting until it is ready. It is killed when the block ends."""
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
    """Send the head of a request, until the service waits for the body."""
    writer.write(_HEAD)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")


async def send_sigterm(server: Server) -> float:
    """Send SIGTERM once all earlier connections are accepted. Returns the time of the signal."""
    async with connected(server) as (reader, writer):
        writer.write(_HALF + _OTHER_HALF)
        await reader.readuntil(b"\r\n\r\n")
    server.process.send_signal(signal.SIGTERM)
    return monotonic()


async def until_refused(server: Server, *, signalled: float) -> None:
    """Connect repeatedly until connections are refused, within two seconds of the signal."""
    while True:
        try:
            async with connected(server):
                pass
        except (ConnectionRefusedError, ConnectionResetError):
            # Reset if it was in the backlog when the socket was closed
            return
        assert monotonic() - signalled < 2
        await asyncio.sleep(0.01)


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Ends]:
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
