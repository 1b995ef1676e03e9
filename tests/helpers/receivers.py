"""A team's receiver of events: a real HTTP server that checks every signature."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = f"whsec_{32 * 'A'}"


@dataclass(frozen=True)
class Request:
    """What came. at: on the monotonic clock."""

    headers: dict[str, str]
    body: str
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def timestamp(self) -> int:
        return int(self.headers["webhook-timestamp"])

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def type(self) -> str:
        found: str = self.event["type"]
        return found

    @property
    def user(self) -> str:
        found: str = self.event["data"].get("user_id", "")
        return found

    def is_signed_by(self, secret: str) -> bool:
        """Whatever the time: the tests move the service's clock."""
        at = datetime.fromtimestamp(self.timestamp, UTC)
        expected = Webhook(secret).sign(self.id, at, self.body)
        return expected in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """answer(request): a status. delay: seconds before it."""

    port: int = 0
    path: str = "/events"
    answer: Callable[[Request], int] = lambda _: 200
    delay: float = 0.0
    headers: str = ""
    attempts: list[Request] = field(default_factory=list)
    taken: list[Request] = field(default_factory=list)
    most_at_once: int = 0
    under_way: Counter[str] = field(default_factory=Counter)
    twice_at_once: list[str] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def settings(self) -> dict[str, Any]:
        return {"REFERRAL_WEBHOOK_URL": self.url, "REFERRAL_WEBHOOK_SECRET": SECRET}

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """Cut every connection, answered or not, and take no more."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        self.under_way.clear()

    async def until(self, number: int, *, seconds: float = 15) -> list[Request]:
        """The first acknowledged ones, once there are so many."""
        await eventually(lambda: len(self.taken) >= number, seconds=seconds)
        return self.taken[:number]

    async def until_tried(self, number: int, *, seconds: float = 15) -> list[Request]:
        await eventually(lambda: len(self.attempts) >= number, seconds=seconds)
        return self.attempts[:number]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, OSError):
                while True:
                    await self._one(reader, writer)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
        request = Request(headers, body, monotonic())
        self.attempts.append(request)
        self.under_way[request.id] += 1
        if self.under_way[request.id] > 1:
            self.twice_at_once.append(request.id)
        self.most_at_once = max(self.most_at_once, sum(self.under_way.values()))
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            status = self.answer(request)
            if 200 <= status < 300:
                self.taken.append(request)
        finally:
            self.under_way[request.id] -= 1
        writer.write(
            f"HTTP/1.1 {status} Whatever\r\n{self.headers}Content-Length: 2\r\n\r\nok".encode()
        )
        await writer.drain()


@asynccontextmanager
async def receiving(**more: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(**more)
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.kill()


async def eventually(holds: Callable[[], bool], *, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what others do, in other processes too
            await asyncio.sleep(0.02)
