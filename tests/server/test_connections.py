"""What one connection may have waiting, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from processes import Server, serving
from referral.http.server import connection
from sites import reachable

LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
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


async def send_all_that_is_taken(writer: asyncio.StreamWriter, data: bytes, most: int) -> int:
    """Send it again and again until nothing more is taken for a second; answers how much was."""
    sent = 0
    with suppress(TimeoutError, ConnectionError):
        while sent < most:
            async with asyncio.timeout(1):
                writer.write(data)
                await writer.drain()
            sent += len(data)
    return sent


def memory(server: Server) -> int:
    size: int = psutil.Process(server.process.pid).memory_info().rss
    return size


@pytest.mark.parametrize("path", ["/health/live", "/docs/openapi.json", "/api/v1/profile"])
async def test_pipelined_requests_that_nobody_reads_the_answers_of_cost_little(
    tmp_path: Path, path: str
) -> None:
    """16 MB of them took 1.1 GB, and held everybody else up for 19 s."""
    with serving(tmp_path, DATABASE_URL=f"sqlite://{tmp_path}/referral.sqlite3") as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            await http.get("/docs/openapi.json")
            before = memory(server)
            request = f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
            async with connected(server.url) as (_, writer):
                begun = asyncio.get_running_loop().time()
                sending = asyncio.create_task(
                    send_all_that_is_taken(writer, request * 2000, 16 * MB)
                )
                slowest = 0.0
                while not sending.done() and asyncio.get_running_loop().time() - begun < 20:
                    asked = asyncio.get_running_loop().time()
                    assert (await http.get("/health/live", timeout=30)).status_code == 200
                    slowest = max(slowest, asyncio.get_running_loop().time() - asked)
                    await asyncio.sleep(0.05)
                sending.cancel()
                grown = memory(server) - before
    assert grown < 32 * MB, grown / MB
    assert slowest < 2


async def test_many_pipelined_requests_are_answered_in_their_order(served: Server) -> None:
    """As many as one likes, of any size, if somebody reads."""
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
async def test_a_head_that_does_not_end_is_refused(served: Server, kind: str) -> None:
    chunked = b"POST /api/v1/auth/refresh HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
    chunked += b"content-type: application/json\r\n\r\n"
    begin, again = {
        "one header": (b"GET / HTTP/1.1\r\nx: ", b"x" * 1000),
        "many headers": (b"GET / HTTP/1.1\r\n", b"x: y\r\n" * 200),
        "path": (b"GET /", b"x" * 1000),
        "trailers": (chunked + b"0\r\n", b"x: y\r\n" * 200),
        "tiny chunks": (chunked, b"1\r\n \r\n" * 200),
        "chunk extension": (chunked + b"1;", b"x" * 1000),
    }[kind]
    async with connected(served.url) as (reader, writer):
        writer.write(begin)
        with suppress(ConnectionError):
            for _ in range(20_000):
                writer.write(again)
                await asyncio.wait_for(writer.drain(), 10)
                if reader.at_eof():
                    break
        sent = await asyncio.wait_for(answer(reader), 10)
    if sent:
        assert sent.startswith(b"HTTP/1.1 400 ")
        assert b"x-request-id: " in sent
        problem = json.loads(sent.partition(b"\r\n\r\n")[2])
        assert problem["code"] == "invalid_request"


async def answer(reader: asyncio.StreamReader) -> bytes:
    found = b""
    with suppress(ConnectionError):
        while more := await reader.read(65536):
            found += more
    return found


async def test_what_is_no_request_is_told_as_a_problem(served: Server) -> None:
    async with connected(served.url) as (reader, writer):
        writer.write(b"nonsense\r\n\r\n")
        head, _, body = (await asyncio.wait_for(answer(reader), 10)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    lines = head.lower().split(b"\r\n")
    assert b"content-type: application/problem+json" in lines
    assert b"x-content-type-options: nosniff" in lines
    assert any(line.startswith(b"x-request-id: ") for line in lines)
    assert json.loads(body)["code"] == "invalid_request"


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
async def test_who_does_not_finish_a_request_is_let_go(
    database_url: str, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT", 1)
    async with reachable(database_url) as (_, site), connected(site) as (reader, writer):
        writer.write(sent)
        async with asyncio.timeout(8):
            await answer(reader)


@pytest.mark.parametrize("reads", [True, False])
async def test_who_reads_nothing_is_let_go_and_who_reads_slowly_is_not(
    database_url: str, monkeypatch: pytest.MonkeyPatch, *, reads: bool
) -> None:
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
                while read < size * number and (more := await until_reset(reader)):
                    read += len(more)
        assert (read >= size * number) is reads


async def until_reset(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except ConnectionError:
        return b""
