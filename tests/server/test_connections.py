"""The limits of one connection, and what becomes of malformed requests, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from processes import Server, serving
from referral.http.server import connection
from sites import reachable
from support import Service

LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
NONSENSE = b"nonsense\r\n\r\n"
CHUNKED = (
    b"POST /api/v1/auth/refresh HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
    b"content-type: application/json\r\n\r\n"
)
MB = 1024 * 1024


@asynccontextmanager
async def connected(
    site: str,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    place = urlsplit(site)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def send_until_blocked(writer: asyncio.StreamWriter, data: bytes, max_bytes: int) -> None:
    """Send the same data repeatedly, until the other end reads nothing more for a second."""
    sent = 0
    with suppress(TimeoutError, ConnectionError):
        while sent < max_bytes:
            async with asyncio.timeout(1):
                writer.write(data)
                await writer.drain()
            sent += len(data)


def memory(server: Server) -> int:
    size: int = psutil.Process(server.process.pid).memory_info().rss
    return size


@pytest.mark.parametrize("path", ["/health/live", "/docs/openapi.json", "/api/v1/profile"])
async def test_unread_pipelined_responses_cost_little(tmp_path: Path, path: str) -> None:
    """In uvicorn's own protocol, 16 MB of requests took 1.1 GB and blocked the process for 19 s."""
    with serving(tmp_path, DATABASE_URL=f"sqlite://{tmp_path}/referral.sqlite3") as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            await http.get("/docs/openapi.json")
            before = memory(server)
            request = f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
            async with connected(server.url) as (_, writer):
                begun = asyncio.get_running_loop().time()
                sending = asyncio.create_task(send_until_blocked(writer, request * 2000, 16 * MB))
                slowest = 0.0
                while not sending.done() and asyncio.get_running_loop().time() - begun < 20:
                    sent_at = asyncio.get_running_loop().time()
                    assert (await http.get("/health/live", timeout=30)).status_code == 200
                    slowest = max(slowest, asyncio.get_running_loop().time() - sent_at)
                    await asyncio.sleep(0.05)
                sending.cancel()
                growth = memory(server) - before
    assert growth < 32 * MB, growth / MB
    assert slowest < 2


async def test_pipelined_responses_come_in_order(served: Server) -> None:
    """Any number of requests of any size is served, if the client reads the responses."""
    number = 3000
    body = b'{"refresh_token":"%s"}' % (b"x" * 3000)
    post = (
        b"POST /api/v1/auth/refresh HTTP/1.1\r\nhost: x\r\nx-request-id: %d\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    )
    get = b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-request-id: %d\r\n\r\n"
    async with connected(served.url) as (reader, writer):

        async def send() -> None:
            for each in range(number):
                last = post % (each, len(body), body) if each % 10 == 0 else get % each
                writer.write(last)
                if each % 100 == 0:
                    await writer.drain()

        sending = asyncio.create_task(send())
        async with asyncio.timeout(60):
            for each in range(number):
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                assert f"x-request-id: {each}\r\n" in head
                assert head.startswith("http/1.1 401" if each % 10 == 0 else "http/1.1 200")
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                await reader.readexactly(length)
        await sending


@pytest.mark.parametrize(
    "kind", ["one header", "many headers", "path", "trailers", "tiny chunks", "chunk extension"]
)
async def test_endless_head_is_refused(served: Server, kind: str) -> None:
    start, more = {
        "one header": (b"GET / HTTP/1.1\r\nx: ", b"x" * 1000),
        "many headers": (b"GET / HTTP/1.1\r\n", b"x: y\r\n" * 200),
        "path": (b"GET /", b"x" * 1000),
        "trailers": (CHUNKED + b"0\r\n", b"x: y\r\n" * 200),
        "tiny chunks": (CHUNKED, b"1\r\n \r\n" * 200),
        "chunk extension": (CHUNKED + b"1;", b"x" * 1000),
    }[kind]
    async with connected(served.url) as (reader, writer):
        writer.write(start)
        with suppress(ConnectionError):
            for _ in range(20_000):
                writer.write(more)
                await asyncio.wait_for(writer.drain(), 10)
                if reader.at_eof():
                    break
        received = await asyncio.wait_for(read_all(reader), 10)
    if received:
        assert received.startswith(b"HTTP/1.1 400 ")
        assert b"x-request-id: " in received
        problem = json.loads(received.partition(b"\r\n\r\n")[2])
        assert problem["code"] == "invalid_request"


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """Read until the connection closes or is reset."""
    received = b""
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            received += part
    return received


async def test_malformed_request_gets_a_problem(served: Server) -> None:
    async with connected(served.url) as (reader, writer):
        writer.write(NONSENSE)
        received = await asyncio.wait_for(read_all(reader), 10)
    assert_malformed(received)


def assert_malformed(response: bytes) -> None:
    """Check that this is one complete 400, after which the connection closes."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    lines = head.lower().split(b"\r\n")
    assert b"content-type: application/problem+json" in lines
    assert b"connection: close" in lines
    assert b"x-content-type-options: nosniff" in lines
    assert any(line.startswith(b"x-request-id: ") for line in lines)
    assert json.loads(body)["code"] == "invalid_request"


@pytest.mark.parametrize(
    "malformed",
    [NONSENSE, CHUNKED + b"nonsense\r\n", b"GET / HTTP/1.1\r\nx: " + b"x" * 80_000],
    ids=["head", "body", "too large"],
)
async def test_malformed_request_waits_for_its_turn(
    service_at: tuple[Service, str], malformed: bytes
) -> None:
    """A 400 in the middle of an earlier response would be read as a part of it."""
    service, site = service_at
    path = "/docs/assets/swagger-ui-bundle.js"
    asset = (await service.get(path)).content
    async with connected(site) as (reader, writer):
        # The asset fills all buffers, so its response is still in progress for the second write
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * 4 + LIVE)
        await asyncio.sleep(0.2)
        writer.write(malformed + LIVE)
        await asyncio.sleep(0.2)
        async with asyncio.timeout(20):
            for expected in (asset, asset, asset, asset, b'{"status":"ok"}'):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                assert head.startswith(b"http/1.1 200 ")
                assert b"content-length: %d\r\n" % len(expected) in head
                assert await reader.readexactly(len(expected)) == expected
            assert_malformed(await read_all(reader))


async def test_malformed_body_of_a_waiting_request(service_at: tuple[Service, str]) -> None:
    """The application waits for the body, and does not respond after the 400."""
    _, site = service_at
    async with connected(site) as (reader, writer):
        writer.write(CHUNKED)
        await asyncio.sleep(0.1)
        writer.write(b"nonsense\r\n")
        assert_malformed(await asyncio.wait_for(read_all(reader), 10))


async def test_malformed_body_after_the_response(service_at: tuple[Service, str]) -> None:
    """A request has one response: the connection only closes."""
    _, site = service_at
    async with connected(site) as (reader, writer):
        writer.write(CHUNKED.replace(b"/api/v1/auth/refresh", b"/nowhere"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(b"nonsense\r\n")
        assert await asyncio.wait_for(read_all(reader), 10) == b""


@pytest.fixture
async def service_at(database_url: str) -> AsyncIterator[tuple[Service, str]]:
    """A service in this process, and its URL."""
    async with reachable(database_url) as found:
        yield found


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        LIVE + b"GET / HTTP/1.1\r\nhost:",
        b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nx",
    ],
    ids=["nothing", "a line", "behind another", "a body"],
)
async def test_unfinished_request_times_out(
    database_url: str, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT", 1)
    async with reachable(database_url) as (_, site), connected(site) as (reader, writer):
        writer.write(sent)
        async with asyncio.timeout(8):
            await read_all(reader)


@pytest.mark.parametrize("reads", [True, False])
async def test_client_that_reads_nothing_is_disconnected(
    database_url: str, monkeypatch: pytest.MonkeyPatch, *, reads: bool
) -> None:
    """A client that reads slowly is not."""
    monkeypatch.setattr(connection, "READ_TIMEOUT", 3)
    path, number = "/docs/assets/swagger-ui-bundle.js", 10
    async with reachable(database_url) as (service, site):
        size = len((await service.get(path)).content)
        async with connected(site) as (reader, writer):
            writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * number)
            read = 0
            for _ in range(160):
                read += len(await reader.read(size)) if reads else 0
                await asyncio.sleep(0.05)
            async with asyncio.timeout(20):
                while read < size * number and (part := await read_part(reader)):
                    read += len(part)
        assert (read >= size * number) is reads


async def read_part(reader: asyncio.StreamReader) -> bytes:
    """Read some bytes; none if the connection is closed or reset."""
    try:
        return await reader.read(65536)
    except ConnectionError:
        return b""
