"""A webhook endpoint: a real HTTP server that records what it gets."""

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

from support import eventually

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = f"whsec_{32 * 'A'}"


@dataclass(frozen=True)
class Request:
    """A request that arrived. at: on the monotonic clock."""

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
    def user_id(self) -> str:
        found: str = self.event["data"].get("user_id", "")
        return found

    def is_signed_by(self, secret: str) -> bool:
        """Check the signature only, not the timestamp: tests move the service's clock."""
        at = datetime.fromtimestamp(self.timestamp, UTC)
        expected = Webhook(secret).sign(self.id, at, self.body)
        return expected in self.headers["webhook-signature"].split(" ")


@dataclass
class EndpointServer:
    """respond(request): the status to respond with, after `delay` seconds."""

    port: int = 0
    path: str = "/events"
    respond: Callable[[Request], int] = lambda _: 200
    delay: float = 0.0
    headers: str = ""
    """Of every response; each ends with CRLF."""
    attempts: list[Request] = field(default_factory=list)
    acknowledged: list[Request] = field(default_factory=list)
    max_concurrent: int = 0
    in_progress: Counter[str] = field(default_factory=Counter)
    """Requests without a response yet, by event id."""
    overlapping: list[str] = field(default_factory=list)
    """Ids of events that arrived while an earlier attempt was in progress."""
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
        """Cut every connection, with or without a response, and stop listening."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        self.in_progress.clear()

    async def wait_acknowledged(self, number: int, *, seconds: float = 15) -> list[Request]:
        """Wait for that many acknowledged requests; return the first ones."""
        await eventually(lambda: len(self.acknowledged) >= number, seconds=seconds)
        return self.acknowledged[:number]

    async def wait_attempts(self, number: int, *, seconds: float = 15) -> list[Request]:
        """Wait for that many requests; return the first ones."""
        await eventually(lambda: len(self.attempts) >= number, seconds=seconds)
        return self.attempts[:number]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, OSError):
                while True:
                    await self._serve_request(reader, writer)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _serve_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
        request = Request(headers, body, monotonic())
        self.attempts.append(request)
        self.in_progress[request.id] += 1
        if self.in_progress[request.id] > 1:
            self.overlapping.append(request.id)
        self.max_concurrent = max(self.max_concurrent, sum(self.in_progress.values()))
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            status = self.respond(request)
            if 200 <= status < 300:
                self.acknowledged.append(request)
        finally:
            self.in_progress[request.id] -= 1
        writer.write(
            f"HTTP/1.1 {status} Whatever\r\n{self.headers}Content-Length: 2\r\n\r\nok".encode()
        )
        await writer.drain()


@asynccontextmanager
async def endpoint_server(**fields: Any) -> AsyncIterator[EndpointServer]:
    server = EndpointServer(**fields)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
