"""Requests that come at a rate of their own, whether or not earlier ones were answered.

    python flood.py PORT FILE RATE SECONDS CONNECTIONS

wrk sends the next request when one is answered, so a slow server gets fewer. People do not wait
for each other. Each request's time runs from when it was due. Prints what came back as JSON:
`accepted` and `shed` (503) with `number` and `p50` and `p99` in milliseconds, `other` answers,
`broken` connections, requests that were `unanswered` when it ended, and the `offered` rate.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

LAST_ANSWERS_SECONDS = 5
# Connections open, and the service lets a crowd in that comes at one moment: no overload yet
WARM_UP_SECONDS = 2
_SHED = b"503"
_LENGTH = b"content-length: "


class Flood:
    """What is under way and what came back.

    most_connections: what is due beyond them waits for one.
    Latencies: seconds, by a clock of its own; the loop's has whole milliseconds.
    """

    def __init__(self, port: int, requests: Iterator[bytes], most_connections: int) -> None:
        self.port = port
        self.requests = requests
        self.most_connections = most_connections
        self.idle: deque[Connection] = deque()
        self.waiting: deque[float] = deque()
        self.connections = self.under_way = self.broken = self.other = self.offered = 0
        self.accepted: list[float] = []
        self.shed: list[float] = []
        self.loop = asyncio.get_running_loop()
        self.sent_for = 0.0
        self.counts_from = 0.0
        self._opening: set[asyncio.Task[Any]] = set()

    async def send(self, rate: float, seconds: float) -> None:
        """So many a second, for so long after the warm-up; then wait for the last answers."""
        began = perf_counter()
        self.counts_from = began + WARM_UP_SECONDS
        for index in range(int(rate * (WARM_UP_SECONDS + seconds))):
            due = began + index / rate
            if due > perf_counter():
                await asyncio.sleep(due - perf_counter())
            self.offered += 1
            self._take(due)
        self.sent_for = perf_counter() - began
        deadline = perf_counter() + LAST_ANSWERS_SECONDS
        while perf_counter() < deadline and (self.under_way or self.waiting):  # noqa: ASYNC110 - simple, and over soon
            await asyncio.sleep(0.05)

    def answered(self, connection: Connection, status: bytes, since: float) -> None:
        self.under_way -= 1
        took = perf_counter() - since
        if status.startswith(b"2") or status == _SHED:
            if since >= self.counts_from:
                (self.shed if status == _SHED else self.accepted).append(took)
        else:
            self.other += 1
        self.rest(connection)

    def rest(self, connection: Connection) -> None:
        """The connection is free: what waits goes over it."""
        if self.waiting:
            self._start(connection, self.waiting.popleft())
        else:
            self.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        self.connections -= 1
        if connection.since is not None:
            self.under_way -= 1
            self.broken += 1
        elif connection in self.idle:
            self.idle.remove(connection)

    def _take(self, due: float) -> None:
        if self.idle:
            self._start(self.idle.pop(), due)
            return
        self.waiting.append(due)
        if self.connections < self.most_connections:
            self.connections += 1
            task = self.loop.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _start(self, connection: Connection, due: float) -> None:
        self.under_way += 1
        connection.send(next(self.requests), due)

    async def _open(self) -> None:
        try:
            await self.loop.create_connection(lambda: Connection(self), "127.0.0.1", self.port)
        except OSError:
            self.connections -= 1
            if self.waiting:
                self.waiting.popleft()
                self.broken += 1


class Connection(asyncio.Protocol):
    """One connection and the request on it. since: when that was due."""

    def __init__(self, flood: Flood) -> None:
        self._flood = flood
        self._received = b""
        self.since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._flood.rest(self)

    def send(self, request: bytes, due: float) -> None:
        self.since = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0]
        if not end or len(body) < int(length or 0) or self.since is None:
            return
        status, since = head[9:12], self.since
        self._received, self.since = b"", None
        self._flood.answered(self, status, since)

    def connection_lost(self, _: Exception | None) -> None:
        self._flood.lost(self)


async def main(
    port: int, requests: list[bytes], rate: float, seconds: float, connections: int
) -> dict[str, Any]:
    flood = Flood(port, _round_and_round(requests), connections)
    await flood.send(rate, seconds)
    return {
        "offered": flood.offered / max(flood.sent_for, WARM_UP_SECONDS + seconds),
        "accepted": _summed_up(flood.accepted),
        "shed": _summed_up(flood.shed),
        "other": flood.other,
        "broken": flood.broken,
        "unanswered": flood.under_way + len(flood.waiting),
    }


def _summed_up(latencies: list[float]) -> dict[str, float | None]:
    if len(latencies) < 100:  # noqa: PLR2004 - a hundredth of fewer is nobody
        return {"number": len(latencies), "p50": None, "p99": None}
    cuts = statistics.quantiles(latencies, n=100)
    return {"number": len(latencies), "p50": cuts[49] * 1000, "p99": cuts[98] * 1000}


def _round_and_round(requests: list[bytes]) -> Iterator[bytes]:
    while True:
        yield from requests


if __name__ == "__main__":
    _, port, file, rate, seconds, connections = sys.argv
    requests = Path(file).read_bytes().split(b"\0")[:-1]
    result = uvloop.run(main(int(port), requests, float(rate), float(seconds), int(connections)))
    print(json.dumps(result))
