"""Send requests at a constant rate, whether or not earlier ones were answered (open load).

    python flood.py PORT FILE RATE SECONDS CONNECTIONS

wrk sends the next request when one is answered, so a slow server gets fewer; people do not wait
for each other. The time of each request starts when it is due. Prints the result as JSON:
`accepted` and `shed` (503) with `number` and `p50` and `p99` in milliseconds, `other` responses,
`broken` connections, requests that were `unanswered` at the end, and the `offered` rate.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections import deque
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

LAST_RESPONSES_SECONDS = 5
# Not counted: connections are opened, and the concurrency limiter admits a burst
WARM_UP_SECONDS = 2
_SHED = b"503"
_LENGTH = b"content-length: "


class Flood:
    """The requests in flight, and the responses.

    max_connections: if all are busy, a request that is due waits for one.
    Latencies are in seconds and come from perf_counter, since uvloop's clock has milliseconds.
    """

    def __init__(self, port: int, requests: Iterator[bytes], max_connections: int) -> None:
        self.port = port
        self.requests = requests
        self.max_connections = max_connections
        self.idle: deque[Connection] = deque()
        self.waiting: deque[float] = deque()
        self.connections = self.in_flight = self.broken = self.other = self.offered = 0
        self.accepted: list[float] = []
        self.shed: list[float] = []
        self.loop = asyncio.get_running_loop()
        self.sending_seconds = 0.0
        self.counted_from = 0.0
        self._opening: set[asyncio.Task[Any]] = set()

    async def send(self, rate: float, seconds: float) -> None:
        """Send at this rate during the warm-up and `seconds`, then wait for the last responses."""
        began = perf_counter()
        self.counted_from = began + WARM_UP_SECONDS
        for index in range(int(rate * (WARM_UP_SECONDS + seconds))):
            due = began + index / rate
            if due > perf_counter():
                await asyncio.sleep(due - perf_counter())
            self.offered += 1
            self._take(due)
        self.sending_seconds = perf_counter() - began
        deadline = perf_counter() + LAST_RESPONSES_SECONDS
        while perf_counter() < deadline and (self.in_flight or self.waiting):  # noqa: ASYNC110 - simple, and over soon
            await asyncio.sleep(0.05)

    def answered(self, connection: Connection, status: bytes, since: float) -> None:
        self.in_flight -= 1
        latency = perf_counter() - since
        if status.startswith(b"2") or status == _SHED:
            if since >= self.counted_from:
                (self.shed if status == _SHED else self.accepted).append(latency)
        else:
            self.other += 1
        self.release(connection)

    def release(self, connection: Connection) -> None:
        """Send a waiting request over a free connection, or keep the connection as idle."""
        if self.waiting:
            self._start(connection, self.waiting.popleft())
        else:
            self.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        self.connections -= 1
        if connection.since is not None:
            self.in_flight -= 1
            self.broken += 1
        elif connection in self.idle:
            self.idle.remove(connection)

    def _take(self, due: float) -> None:
        if self.idle:
            self._start(self.idle.pop(), due)
            return
        self.waiting.append(due)
        if self.connections < self.max_connections:
            self.connections += 1
            task = self.loop.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _start(self, connection: Connection, due: float) -> None:
        self.in_flight += 1
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
    """A connection and the request on it. since: when the request was due."""

    def __init__(self, flood: Flood) -> None:
        self._flood = flood
        self._received = b""
        self.since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._flood.release(self)

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
    flood = Flood(port, cycle(requests), connections)
    await flood.send(rate, seconds)
    return {
        "offered": flood.offered / max(flood.sending_seconds, WARM_UP_SECONDS + seconds),
        "accepted": _summarise(flood.accepted),
        "shed": _summarise(flood.shed),
        "other": flood.other,
        "broken": flood.broken,
        "unanswered": flood.in_flight + len(flood.waiting),
    }


def _summarise(latencies: list[float]) -> dict[str, float | None]:
    if len(latencies) < 100:  # noqa: PLR2004 - a 99th percentile needs a hundred
        return {"number": len(latencies), "p50": None, "p99": None}
    cuts = statistics.quantiles(latencies, n=100)
    return {"number": len(latencies), "p50": cuts[49] * 1000, "p99": cuts[98] * 1000}


if __name__ == "__main__":
    _, port, file, rate, seconds, connections = sys.argv
    requests = Path(file).read_bytes().split(b"\0")[:-1]
    result = uvloop.run(main(int(port), requests, float(rate), float(seconds), int(connections)))
    print(json.dumps(result))
