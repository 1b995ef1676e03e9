"""Overload: more requests than a process can serve."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest

from referral.core.concurrency import BURST, READS, WRITES, ConcurrencyLimiter
from referral.messaging.gateways import Message
from sites import reachable
from support import Inbox, Person, Service, context_of, new_phone, ok, refused, running

MANY = READS + BURST + 100
KEEP_ALIVE_SECONDS = 5  # uvicorn's default
ORIGIN = "https://app.example.com"


@dataclass
class Slow(Inbox):
    """A gateway that waits until a test lets it go on."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Message) -> None:
        await self.go_on.wait()
        await super().send(message)


async def overload(person: Person, **headers: str) -> Counter[int]:
    """Read the profile so often at the same time that some requests are refused.

    Returns how many responses there were of each status.
    """
    responses = await asyncio.gather(
        *(person.call("GET", "/profile", headers=headers) for _ in range(MANY))
    )
    for response in responses:
        if response.status_code != 200:
            refused(response, 503, "overloaded")
            assert int(response.headers["retry-after"]) >= 1
            assert response.headers["x-request-id"]
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers.get("access-control-allow-origin") == headers.get("Origin")
    return Counter(response.status_code for response in responses)


async def test_requests_above_the_limit_are_refused(service: Service) -> None:
    person = await service.sign_in()
    statuses = await overload(person)
    assert statuses.keys() == {200, 503}
    assert statuses[200] >= READS
    ok(await person.call("GET", "/profile"))
    assert context_of(service).limiter.in_use == 0
    metrics = (await service.get("/metrics")).text
    assert 'referral_failures_total{error="overloaded"}' in metrics


async def test_health_and_metrics_are_never_refused(service: Service) -> None:
    person = await service.sign_in()
    paths = ["/health/live", "/health/ready", "/metrics"]
    overloaded = asyncio.create_task(overload(person))
    await asyncio.sleep(0)
    responses = await asyncio.gather(*(service.get(path) for path in paths * 3))
    statuses = await overloaded
    assert statuses[503]
    assert {response.status_code for response in responses} == {200}


async def test_allowed_origin_may_read_the_refusal(database_url: str) -> None:
    async with running(database_url, REFERRAL_CORS_ORIGINS=ORIGIN) as service:
        assert (await overload(await service.sign_in(), Origin=ORIGIN))[503]


@pytest.mark.parametrize("number", [2 * WRITES])
async def test_waiting_for_a_gateway_holds_no_slot(database_url: str, number: int) -> None:
    gateway = Slow()
    gateway.go_on.set()
    async with running(
        database_url, inbox=gateway, REFERRAL_SENDS_PER_ADDRESS_HOUR="100000"
    ) as service:
        person = await service.sign_in()
        await overload(person)
        gateway.go_on.clear()
        sending = []
        for _ in range(number):
            sending.append(asyncio.create_task(service.send_code(new_phone())))
            # Until it has reached the gateway
            await asyncio.sleep(0.02)
        ok(await person.call("GET", "/profile"))
        gateway.go_on.set()
        assert len(await asyncio.gather(*sending)) == number
    assert len(gateway.messages) == number + 1


async def test_slow_body_holds_no_slot(service: Service) -> None:
    person = await service.sign_in()
    # Use up the burst
    await overload(person)
    go_on = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"refresh_token":'
        await go_on.wait()
        yield b' "x"}'

    headers = {"Content-Type": "application/json"}
    slow = [
        asyncio.create_task(
            service.http.post("/api/v1/auth/logout", content=body(), headers=headers)
        )
        for _ in range(2 * WRITES)
    ]
    await asyncio.sleep(0.1)
    assert context_of(service).limiter.in_use == 0
    ok(await person.call("GET", "/profile"))
    go_on.set()
    # All continue at the same time, as a burst
    assert {response.status_code for response in await asyncio.gather(*slow)} == {204}


# Early refusals by the protocol, on a connection that continues


@dataclass
class Connection:
    """A raw connection to the service."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, *parts: str) -> tuple[int, dict[str, str], str]:
        """Send a request, part by part, and return the status, headers and body of its response."""
        for part in parts:
            self.writer.write(part.encode())
            await asyncio.sleep(0.02)
        return await self.response(has_body=not parts[0].startswith("HEAD"))

    async def response(self, *, has_body: bool = True) -> tuple[int, dict[str, str], str]:
        """Read the next response, and return its status, headers and body."""
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            length = int(headers["content-length"]) if has_body else 0
            return int(status.split()[1]), headers, (await self.reader.readexactly(length)).decode()


@asynccontextmanager
async def connected(site: str) -> AsyncIterator[Connection]:
    """Open a connection that has been used for a request before."""
    place = urlsplit(site)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    connection = Connection(reader, writer)
    try:
        assert (await connection.ask(get("/health/live")))[0] == 200
        yield connection
    finally:
        # Even if either side still has bytes to send
        writer.transport.abort()


@contextmanager
def all_slots_taken(service: Service) -> Iterator[None]:
    limiter = context_of(service).limiter
    in_use = 0
    # With a time in the future, the burst does not refill for a minute
    later = monotonic() + 60
    while limiter.acquire(is_read=False, now=later):
        in_use += 1
    yield
    for _ in range(in_use):
        limiter.release()
    assert limiter.in_use == 0


def get(path: str, *lines: str, method: str = "GET") -> str:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: localhost", *lines, "", ""])


POST = "\r\n".join(
    [
        "POST /api/v1/auth/refresh HTTP/1.1",
        *("host: localhost", "content-type: application/json", "content-length: 21"),
        *("", ""),
    ]
)
BODY = '{"refresh_token":"x"}'
PROFILE = "/api/v1/profile"


def is_refusal(response: tuple[int, dict[str, str], str]) -> bool:
    status, headers, body = response
    if status == 503 and body:
        problem: dict[str, Any] = json.loads(body)
        assert problem["code"] == "overloaded"
        assert headers["content-type"] == "application/problem+json"
    return (
        status == 503
        and int(headers["retry-after"]) >= 1
        and headers["x-content-type-options"] == "nosniff"
        and bool(headers["x-request-id"])
        and "date" in headers
    )


@pytest.mark.parametrize(
    "parts",
    [
        (get(PROFILE),),
        (get(PROFILE, method="HEAD"),),
        (POST + BODY,),
        (POST, BODY),
        (POST, BODY[:9], BODY[9:]),
        (get(PROFILE, "accept: text/html", "accept-language: ru"),),
    ],
)
async def test_connection_continues_after_a_refusal(
    service_at: tuple[Service, str], parts: tuple[str, ...]
) -> None:
    service, site = service_at
    async with connected(site) as connection:
        with all_slots_taken(service):
            assert is_refusal(await connection.ask(*parts))
            assert is_refusal(await connection.ask(*parts))
            assert (await connection.ask(get("/health/live")))[0] == 200
            assert (await connection.ask(get("/health/ready?a=b")))[0] == 200
        assert (await connection.ask(get(PROFILE)))[0] == 401
        assert (await connection.ask(POST, BODY))[0] == 401


async def test_pipelined_requests_each_get_a_response(
    service_at: tuple[Service, str],
) -> None:
    service, site = service_at
    async with connected(site) as connection:
        with all_slots_taken(service):
            connection.writer.write((get(PROFILE) + POST + BODY + get("/health/live")).encode())
            assert [(await connection.response())[0] for _ in range(3)] == [503, 503, 200]
        connection.writer.write((get(PROFILE) + POST + BODY + get("/health/live")).encode())
        assert [(await connection.response())[0] for _ in range(3)] == [401, 401, 200]


async def test_closing_and_expecting_requests_are_refused_too(
    service_at: tuple[Service, str],
) -> None:
    service, site = service_at
    with all_slots_taken(service):
        async with connected(site) as connection:
            expecting = POST.replace("host:", "expect: 100-continue\r\nhost:")
            assert is_refusal(await connection.ask(expecting))
        async with connected(site) as connection:
            response = await connection.ask(get(PROFILE, "connection: close"))
            assert is_refusal(response)
            assert response[1]["connection"] == "close"
            assert await connection.reader.read() == b""


async def test_malformed_body_after_a_refusal(service_at: tuple[Service, str]) -> None:
    """The refused request has its response: the connection only closes."""
    service, site = service_at
    chunked = POST.replace("content-length: 21", "transfer-encoding: chunked")
    async with connected(site) as connection:
        with all_slots_taken(service):
            assert is_refusal(await connection.ask(chunked))
            connection.writer.write(b"nonsense\r\n")
            async with asyncio.timeout(5):
                assert await connection.reader.read() == b""


async def test_refusal_keeps_the_request_id_of_a_proxy(service_at: tuple[Service, str]) -> None:
    service, site = service_at
    async with connected(site) as connection:
        with all_slots_taken(service):
            _, headers, _ = await connection.ask(get(PROFILE, "x-request-id: abc-1"))
            assert headers["x-request-id"] == "abc-1"


async def test_request_behind_a_refusal_may_take_long(database_url: str) -> None:
    """In the same packet, and longer than an idle connection is kept open."""
    gateway = Slow()
    body = json.dumps({"phone": new_phone()})
    slow = POST.replace("refresh", "send-code").replace("21", str(len(body))) + body
    async with (
        reachable(database_url, inbox=gateway) as (service, site),
        connected(site) as connection,
    ):
        limiter = context_of(service).limiter
        with all_slots_taken(service):
            # Leave slots for requests that are not reads
            freed = limiter.in_use - READS
            limiter.in_use -= freed
            connection.writer.write((get(PROFILE) + slow).encode())
            assert is_refusal(await connection.response())
            await asyncio.sleep(KEEP_ALIVE_SECONDS + 1)
            gateway.go_on.set()
            assert (await connection.response())[0] == 200
            limiter.in_use += freed


async def test_unread_refusals_are_not_buffered(service_at: tuple[Service, str]) -> None:
    service, site = service_at
    async with connected(site) as connection:
        with all_slots_taken(service):
            many = get(PROFILE).encode() * 1000
            sent = 0
            with suppress(TimeoutError):
                while sent < 100_000_000:
                    async with asyncio.timeout(1):
                        connection.writer.write(many)
                        await connection.writer.drain()
                    sent += len(many)
        # The operating system's buffers
        assert sent < 50_000_000


@pytest.mark.parametrize("path", ["/docs/openapi.json", "/docs/assets/swagger-ui-bundle.js"])
async def test_unread_response_holds_no_slot(service_at: tuple[Service, str], path: str) -> None:
    """The first path is sent in one part, the second in several."""
    service, site = service_at
    limiter = context_of(service).limiter
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connected(site)) for _ in range(5)]
        for connection in connections:
            connection.writer.write((get(path) * 200).encode())
        # The first responses are being sent, and nobody reads them
        await asyncio.sleep(1)
        await until_all_free(limiter)
        # Nor have they released more slots than they acquired
        await asyncio.sleep(0.5)
        await until_all_free(limiter)
    await until_all_free(limiter)


async def until_all_free(limiter: ConcurrencyLimiter) -> None:
    async with asyncio.timeout(10):
        while limiter.in_use:  # noqa: ASYNC110 - soon
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "path", ["/health/live", "/health%2Flive", "/health/live#x", "http://localhost/health/live"]
)
async def test_health_is_exempt_in_any_spelling(service_at: tuple[Service, str], path: str) -> None:
    service, site = service_at
    async with connected(site) as connection:
        with all_slots_taken(service):
            assert (await connection.ask(get(path)))[0] == 200


@pytest.mark.parametrize("url", ["http://[::1", "//", "http://a:b/"])
async def test_invalid_target_holds_no_slot(service_at: tuple[Service, str], url: str) -> None:
    service, site = service_at
    async with connected(site) as connection:
        connection.writer.write(get(url).encode())
        async with asyncio.timeout(5):
            assert await connection.reader.readline()
    await asyncio.sleep(0.05)
    assert context_of(service).limiter.in_use == 0


async def test_disconnecting_releases_the_slot(service_at: tuple[Service, str]) -> None:
    service, site = service_at
    for part in (POST, POST + BODY, get(PROFILE)):
        async with connected(site) as connection:
            connection.writer.write(part.encode())
    async with asyncio.timeout(5):
        while context_of(service).limiter.in_use:  # noqa: ASYNC110 - soon
            await asyncio.sleep(0.01)


@pytest.fixture
async def service_at(database_url: str) -> AsyncIterator[tuple[Service, str]]:
    """A service in this process, and its URL."""
    async with reachable(database_url) as found:
        yield found
