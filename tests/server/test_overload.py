"""More requests than a process can work on."""

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
KEPT_OPEN_SECONDS = 5  # by uvicorn
ORIGIN = "https://app.example.com"


@dataclass
class Slow(Inbox):
    """A gateway that takes as long as a test wants."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Message) -> None:
        await self.go_on.wait()
        await super().send(message)


async def overload(person: Person, **headers: str) -> Counter[int]:
    """Read the profile so many times at once that not all get in."""
    answers = await asyncio.gather(
        *(person.call("GET", "/profile", headers=headers) for _ in range(MANY))
    )
    for answer in answers:
        if answer.status_code != 200:
            refused(answer, 503, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["x-request-id"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers.get("access-control-allow-origin") == headers.get("Origin")
    return Counter(answer.status_code for answer in answers)


async def test_what_is_beyond_the_room_is_refused_and_the_rest_is_served(service: Service) -> None:
    person = await service.sign_in()
    counted = await overload(person)
    assert counted.keys() == {200, 503}
    assert counted[200] >= READS
    ok(await person.call("GET", "/profile"))
    assert context_of(service).limiter.in_use == 0
    metrics = (await service.get("/metrics")).text
    assert 'referral_failures_total{error="overloaded"}' in metrics


async def test_health_and_metrics_are_never_refused(service: Service) -> None:
    person = await service.sign_in()
    paths = ["/health/live", "/health/ready", "/metrics"]
    overloaded = asyncio.create_task(overload(person))
    await asyncio.sleep(0)
    answers = await asyncio.gather(*(service.get(path) for path in paths * 3))
    counted = await overloaded
    assert counted[503]
    assert {answer.status_code for answer in answers} == {200}


async def test_a_page_of_an_allowed_origin_may_read_that_it_was_refused(database_url: str) -> None:
    async with running(database_url, REFERRAL_CORS_ORIGINS=ORIGIN) as service:
        assert (await overload(await service.sign_in(), Origin=ORIGIN))[503]


@pytest.mark.parametrize("number", [2 * WRITES])
async def test_what_waits_for_a_gateway_is_no_overload(database_url: str, number: int) -> None:
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
            # Until it is at the gateway
            await asyncio.sleep(0.02)
        ok(await person.call("GET", "/profile"))
        gateway.go_on.set()
        assert len(await asyncio.gather(*sending)) == number
    assert len(gateway.messages) == number + 1


async def test_who_sends_a_body_slowly_takes_no_room(service: Service) -> None:
    person = await service.sign_in()
    # So that no room is left for a crowd
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
    # All of them go on at one moment, as a crowd
    assert {answer.status_code for answer in await asyncio.gather(*slow)} == {204}


# At the door: what uvicorn's side of it answers by itself, over a connection that goes on


@dataclass
class Connection:
    """To the service, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, *parts: str) -> tuple[int, dict[str, str], str]:
        """Send these parts of a request one after another; answers status, headers, body."""
        for part in parts:
            self.writer.write(part.encode())
            await asyncio.sleep(0.02)
        return await self.answer(has_body=not parts[0].startswith("HEAD"))

    async def answer(self, *, has_body: bool = True) -> tuple[int, dict[str, str], str]:
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            length = int(headers["content-length"]) if has_body else 0
            return int(status.split()[1]), headers, (await self.reader.readexactly(length)).decode()


@asynccontextmanager
async def connected(site: str) -> AsyncIterator[Connection]:
    """A connection over which something was answered already."""
    place = urlsplit(site)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    connection = Connection(reader, writer)
    try:
        assert (await connection.ask(get("/health/live")))[0] == 200
        yield connection
    finally:
        # Whatever waits on it, on either side
        writer.transport.abort()


@contextmanager
def no_room(service: Service) -> Iterator[None]:
    limiter = context_of(service).limiter
    in_use = 0
    # So that no crowd may come again for a minute
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


def is_refusal(answer: tuple[int, dict[str, str], str]) -> bool:
    status, headers, body = answer
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
async def test_a_connection_goes_on_after_a_refusal(
    service_at: tuple[Service, str], parts: tuple[str, ...]
) -> None:
    service, site = service_at
    async with connected(site) as connection:
        with no_room(service):
            assert is_refusal(await connection.ask(*parts))
            assert is_refusal(await connection.ask(*parts))
            assert (await connection.ask(get("/health/live")))[0] == 200
            assert (await connection.ask(get("/health/ready?a=b")))[0] == 200
        assert (await connection.ask(get(PROFILE)))[0] == 401
        assert (await connection.ask(POST, BODY))[0] == 401


async def test_requests_sent_at_once_over_one_connection_are_each_answered(
    service_at: tuple[Service, str],
) -> None:
    service, site = service_at
    async with connected(site) as connection:
        with no_room(service):
            connection.writer.write((get(PROFILE) + POST + BODY + get("/health/live")).encode())
            assert [(await connection.answer())[0] for _ in range(3)] == [503, 503, 200]
        connection.writer.write((get(PROFILE) + POST + BODY + get("/health/live")).encode())
        assert [(await connection.answer())[0] for _ in range(3)] == [401, 401, 200]


async def test_who_ends_the_connection_or_asks_first_is_refused_too(
    service_at: tuple[Service, str],
) -> None:
    service, site = service_at
    with no_room(service):
        async with connected(site) as connection:
            asked = POST.replace("host:", "expect: 100-continue\r\nhost:")
            assert is_refusal(await connection.ask(asked))
        async with connected(site) as connection:
            answer = await connection.ask(get(PROFILE, "connection: close"))
            assert is_refusal(answer)
            assert answer[1]["connection"] == "close"
            assert await connection.reader.read() == b""


async def test_a_refusal_has_the_id_that_a_proxy_gave(service_at: tuple[Service, str]) -> None:
    service, site = service_at
    async with connected(site) as connection:
        with no_room(service):
            _, headers, _ = await connection.ask(get(PROFILE, "x-request-id: abc-1"))
            assert headers["x-request-id"] == "abc-1"


async def test_what_follows_a_refusal_in_the_same_packet_may_take_long(database_url: str) -> None:
    """Longer than a connection is kept open for a next request."""
    gateway = Slow()
    body = json.dumps({"phone": new_phone()})
    slow = POST.replace("refresh", "send-code").replace("21", str(len(body))) + body
    async with (
        reachable(database_url, inbox=gateway) as (service, site),
        connected(site) as connection,
    ):
        limiter = context_of(service).limiter
        with no_room(service):
            # But for what is no read
            freed = limiter.in_use - READS
            limiter.in_use -= freed
            connection.writer.write((get(PROFILE) + slow).encode())
            assert is_refusal(await connection.answer())
            await asyncio.sleep(KEPT_OPEN_SECONDS + 1)
            gateway.go_on.set()
            assert (await connection.answer())[0] == 200
            limiter.in_use += freed


async def test_who_reads_no_answers_is_given_no_more(service_at: tuple[Service, str]) -> None:
    service, site = service_at
    async with connected(site) as connection:
        with no_room(service):
            many = get(PROFILE).encode() * 1000
            sent = 0
            with suppress(TimeoutError):
                while sent < 100_000_000:
                    async with asyncio.timeout(1):
                        connection.writer.write(many)
                        await connection.writer.drain()
                    sent += len(many)
        # What systems keep on the way
        assert sent < 50_000_000


@pytest.mark.parametrize("path", ["/docs/openapi.json", "/docs/assets/swagger-ui-bundle.js"])
async def test_who_reads_no_answers_takes_no_room(
    service_at: tuple[Service, str], path: str
) -> None:
    """Of answers that come at once and of those that come in parts."""
    service, site = service_at
    limiter = context_of(service).limiter
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connected(site)) for _ in range(5)]
        for connection in connections:
            connection.writer.write((get(path) * 200).encode())
        # The first answers are on their way, and nobody reads them
        await asyncio.sleep(1)
        await until_all_free(limiter)
        # They wait, and have not left more room than they took
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
async def test_no_spelling_of_health_is_refused(service_at: tuple[Service, str], path: str) -> None:
    service, site = service_at
    async with connected(site) as connection:
        with no_room(service):
            assert (await connection.ask(get(path)))[0] == 200


@pytest.mark.parametrize("url", ["http://[::1", "//", "http://a:b/"])
async def test_a_broken_address_takes_no_room(service_at: tuple[Service, str], url: str) -> None:
    service, site = service_at
    async with connected(site) as connection:
        connection.writer.write(get(url).encode())
        async with asyncio.timeout(5):
            assert await connection.reader.readline()
    await asyncio.sleep(0.05)
    assert context_of(service).limiter.in_use == 0


async def test_who_leaves_in_the_middle_leaves_no_room_taken(
    service_at: tuple[Service, str],
) -> None:
    service, site = service_at
    for part in (POST, POST + BODY, get(PROFILE)):
        async with connected(site) as connection:
            connection.writer.write(part.encode())
    async with asyncio.timeout(5):
        while context_of(service).limiter.in_use:  # noqa: ASYNC110 - soon
            await asyncio.sleep(0.01)


@pytest.fixture
async def service_at(database_url: str) -> AsyncIterator[tuple[Service, str]]:
    """A service, and where it is reached."""
    async with reachable(database_url) as found:
        yield found
