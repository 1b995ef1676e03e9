"""Faults of a SQLite file, its disk, a gateway and the clock; SIGTERM, and very slow clients."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import asyncpg
import httpx
import pytest

from parallel_requests import client
from processes import Server, is_running, process_tree, serving
from referral.messaging import channels
from referral.messaging.gateways import Failure, GatewayError, Message
from referral.storage import configuration
from support import (
    Clock,
    Inbox,
    Person,
    Service,
    migrated,
    new_phone,
    ok,
    refused,
    running,
    with_wrong_code,
)

STEP = 600
LIMITLESS: Any = {"REFERRAL_RESEND_WAITS": "0", "REFERRAL_SENDS_PER_ADDRESS_HOUR": "100000"}
UNLIMITED_GUESSES: Any = {
    f"REFERRAL_FAILURES_PER_{of}": "100000"
    for of in ("PHONE_DAY", "PHONE_MONTH", "PHONE_DAY_MAX", "ADDRESS_HOUR", "HOUR")
}
# A write waits at most 5 s for its turn; the rest is for a slow machine
TURN_SECONDS = 10
# Hosting platforms cut a request after this time
PLATFORM_SECONDS = 30

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
either_way = pytest.mark.parametrize("step", [STEP, -STEP], ids=["forward", "back"])


# --- A SQLite file that another process has locked ---


@pytest.mark.long
@on_sqlite
async def test_writes_fail_only_while_the_file_is_locked(
    database_url: str, service: Service
) -> None:
    person = await service.sign_in()
    sent = await service.send_code(new_phone())
    with locked(database_url):
        assert (await person.profile())["phone"] == person.phone
        response, took = await timed(service.verify(sent))
        unavailable(response)
        assert took < PLATFORM_SECONDS
        assert (await service.get("/health/live")).status_code == 200
        assert (await person.profile())["phone"] == person.phone
    async with asyncio.timeout(5):
        assert (await service.verify(sent)).status_code == 201
        ok(await person.refresh())


@pytest.mark.long
@on_sqlite
async def test_writes_to_a_locked_file_delay_no_other_request(
    database_url: str, service: Service
) -> None:
    person = await service.sign_in()
    sent = await service.send_code(new_phone())
    with locked(database_url):
        writes = [
            asyncio.create_task(timed(write))
            for write in (
                service.verify(sent),
                service.post("/auth/send-code", phone=new_phone()),
                person.refresh(),
                person.call("PATCH", "/profile", json={"name": "Anna"}),
                person.activate("7KQ2MX"),
            )
        ]
        await asyncio.sleep(0.1)  # until the writes wait, which cannot be observed
        alive, _ = await timed(service.get("/health/live"))
        read, reading = await timed(person.call("GET", "/profile"))
        responses = await asyncio.gather(*writes)
    assert alive.status_code == 200
    assert ok(read)["phone"] == person.phone
    for response, _ in responses:
        unavailable(response)
    assert reading < 2
    assert max(took for _, took in responses) < TURN_SECONDS


# --- A disk that is full, or that the kernel made read-only after an error ---


@dataclass
class Disk:
    """A small file system, mounted from an image."""

    folder: Path
    image: Path

    @property
    def url(self) -> str:
        return f"sqlite://{self.folder}/referral.sqlite3"

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        with suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
            while ballast.write(bytes(1024)):
                pass

    def free(self, size: int | None = None) -> None:
        """Free so many bytes, or all."""
        left = self._ballast.stat().st_size - size if size is not None else 0
        os.truncate(self._ballast, max(left, 0))

    def fail(self) -> None:
        """Make the kernel detect an error, which remounts it read-only immediately."""
        source = _run("findmnt", "--noheadings", "--output", "SOURCE", str(self.folder))
        name = Path(source.strip()).name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("a test", encoding="ascii")

    def mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.folder))

    def unmount(self) -> None:
        _run("umount", str(self.folder))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder, image = tmp_path / "disk", tmp_path / "image"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    made = Disk(folder, image)
    try:
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        made.mount()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a file system")
    yield made
    made.unmount()


async def test_a_full_disk_refuses_writes_and_loses_nothing(disk: Disk) -> None:
    await migrated(disk.url)
    async with running(disk.url, **LIMITLESS) as service:
        people = [await service.sign_in() for _ in range(20)]
        sent = [await service.send_code(new_phone()) for _ in range(20)]
        disk.fill()
        for each in sent:
            unavailable(await service.verify(each))
        for person in people:
            unavailable(await person.call("PATCH", "/profile", json={"name": "Anna" * 10}))
            unavailable(await person.refresh())
            assert (await person.profile())["name"] is None
        unavailable(await service.post("/auth/send-code", phone=new_phone()))
        assert (await service.get("/health/live")).status_code == 200
        disk.free()
        for each in sent:
            assert (await service.verify(each)).status_code == 201
        for person in people:
            assert ok(await person.refresh())["refresh_token"] != person.tokens["refresh_token"]
            assert (await person.profile())["phone"] == person.phone
        assert_intact(disk)


@pytest.mark.long
async def test_a_sign_in_on_a_full_disk_happens_whole_or_not_at_all(disk: Disk) -> None:
    """Before each, 1 to 16 pages are freed, so that the disk fills up at different points."""
    await migrated(disk.url)
    async with running(disk.url, **LIMITLESS) as service:
        inviter = await service.sign_in()
        code = await inviter.invite_code()
        sent = [await service.send_code(new_phone()) for _ in range(60)]
        disk.fill()
        responses = []
        for number, each in enumerate(sent):
            disk.free(4096 * (1 + number % 16))
            responses.append(await service.verify(each, invite_code=code))
        failed = [response for response in responses if response.is_error]
        for response in failed:
            unavailable(response)
        assert 0 < len(failed) < len(responses)
        assert (await inviter.profile())["invitee_count"] == len(responses) - len(failed)
        disk.free()
        for each, response in zip(sent, responses, strict=True):
            if response.is_error:
                assert (await service.verify(each, invite_code=code)).status_code == 201
            else:
                refused(await service.verify(each), 400, "challenge_spent")
        assert (await inviter.profile())["invitee_count"] == len(sent)
        assert_intact(disk)


async def test_a_disk_that_fails_refuses_writes_and_loses_nothing(disk: Disk) -> None:
    await migrated(disk.url)
    async with running(disk.url, **LIMITLESS) as service:
        people = [await service.sign_in() for _ in range(20)]
        sent = await service.send_code(new_phone())
        disk.fail()
        unavailable(await service.verify(sent))
        unavailable(await service.post("/auth/send-code", phone=new_phone()))
        for person in people:
            unavailable(await person.refresh())
            assert (await person.profile())["phone"] == person.phone
        assert (await service.get("/health/live")).status_code == 200
    disk.unmount()
    disk.mount()
    assert_intact(disk)
    async with running(disk.url, **LIMITLESS) as service:
        assert (await service.verify(sent)).status_code == 201
        for person in people:
            again = Person(service.http, person.phone, person.tokens, is_new=False)
            assert (await again.profile())["phone"] == person.phone
            ok(await again.refresh())


# --- A gateway that is slow, fails or hangs ---


@dataclass
class Troubled(Inbox):
    """A gateway that fails, or hangs if `failure` is None, until `works` is set."""

    failure: Exception | None = None
    works: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    async def send(self, message: Message) -> None:
        if not self.works.is_set():
            if self.failure is not None:
                raise self.failure
            self.waiting += 1
            await self.works.wait()
        await super().send(message)


@dataclass
class Slow(Inbox):
    """A gateway that moves the service's clock by `seconds` with each message."""

    clock: Clock | None = None
    seconds: float = 0

    async def send(self, message: Message) -> None:
        if self.clock is not None:
            self.clock.move(seconds=self.seconds)
        await super().send(message)


@pytest.mark.parametrize(
    ("failure", "status", "refunded"),
    [
        (GatewayError("no connection", Failure.NOT_TAKEN), 503, True),
        (GatewayError("no"), 503, False),
        (RuntimeError("no route"), 503, False),
        (KeyError("status"), 503, False),
        (None, 200, False),
        (TimeoutError(), 200, False),
    ],
    ids=["not taken", "failed", "RuntimeError", "KeyError", "hangs", "TimeoutError"],
)
async def test_response_if_the_gateway_does_not_send(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception | None,
    status: int,
    refunded: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """It comes soon, and the send is refunded if the message was certainly not accepted."""
    monkeypatch.setattr(channels, "DEADLINE_SECONDS", 0.2)
    inbox = Troubled(failure=failure)
    once: Any = {
        f"REFERRAL_SENDS_PER_{of}": "1" for of in ("PHONE_HOUR", "PHONE_DAY", "ADDRESS_HOUR")
    }
    once |= {"REFERRAL_RESEND_WAITS": "30"}
    async with running(database_url, inbox=inbox, **once) as service:
        phone = new_phone()
        for expected in [status, *[status if refunded else 429] * 2]:
            response, took = await timed(service.post("/auth/send-code", phone=phone))
            assert response.status_code == expected, response.text
            if status == 503:
                assert int(response.headers["retry-after"]) > 0
            assert took < 5
        assert inbox.messages == []
        inbox.works.set()
        if refunded:
            sent = await service.send_code(phone)
            assert (await service.verify(sent)).status_code == 201
        refused(await service.post("/auth/send-code", phone=phone), 429, "too_many_requests")


async def test_hanging_sends_hold_no_database_connection(database_url: str) -> None:
    inbox = Troubled()
    inbox.works.set()
    async with running(database_url, inbox=inbox, **LIMITLESS) as service:
        person = await service.sign_in()
        inbox.works.clear()
        number = configuration.POOL_SIZE + 5
        sending = [asyncio.create_task(service.send_code(new_phone())) for _ in range(number)]
        try:
            async with asyncio.timeout(10):
                while inbox.waiting < number:  # noqa: ASYNC110 - a condition without an event
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(4):
                assert (await person.profile())["phone"] == person.phone
                ok(await person.call("PATCH", "/profile", json={"name": "Anna"}))
                ok(await person.refresh())
                assert (await service.get("/health/ready")).status_code == 200
            assert not any(task.done() for task in sending)
        finally:
            inbox.works.set()
        for sent in await asyncio.gather(*sending):
            assert (await service.verify(sent)).status_code == 201


async def test_a_slow_gateway_does_not_shorten_the_life_of_a_code(database_url: str) -> None:
    inbox = Slow()
    async with running(database_url, inbox=inbox, **LIMITLESS) as service:
        inbox.clock, inbox.seconds = service.clock, 100
        in_time = await service.send_code(new_phone())
        service.clock.move(seconds=in_time["expires_in"] - 10)
        assert (await service.verify(in_time)).status_code == 201
        late = await service.send_code(new_phone())
        service.clock.move(seconds=late["expires_in"])
        refused(await service.verify(late), 400, "challenge_expired")


# --- A clock that is set ten minutes forward or back ---


async def test_a_code_expires_when_the_clock_steps_past_its_life(service: Service) -> None:
    sent = await service.send_code(new_phone())
    service.clock.move(seconds=STEP)
    refused(await service.verify(sent), 400, "challenge_expired")
    service.clock.move(seconds=-STEP)
    assert (await service.verify(sent)).status_code == 201


async def test_a_code_works_once_when_the_clock_steps_back(service: Service) -> None:
    sent = await service.send_code(new_phone())
    service.clock.move(seconds=-STEP)
    assert (await service.verify(sent)).status_code == 201
    for _ in range(2):
        refused(await service.verify(sent), 400, "challenge_spent")
        service.clock.move(seconds=STEP)


async def test_clock_steps_give_a_challenge_no_more_guesses(database_url: str) -> None:
    """All sequences of steps back, forward or not at all between the first four guesses."""
    async with running(database_url, REFERRAL_CODE_TTL="600", **UNLIMITED_GUESSES) as service:
        for steps in product((-STEP, 0, STEP), repeat=3):
            sent = await service.send_code(new_phone())
            compared = 0
            for step in (*steps, -sum(steps)):
                compared += await guess(service, sent)
                service.clock.move(seconds=step)
            for _ in range(3):
                compared += await guess(service, sent)
            assert 1 <= compared <= 3, steps
            refused(await service.verify(sent), 429, "too_many_attempts")


async def test_a_spent_challenge_stays_spent_when_the_clock_steps(database_url: str) -> None:
    async with running(database_url, REFERRAL_CODE_TTL="600", **LIMITLESS) as service:
        for steps in product((-STEP, 0, STEP), repeat=3):
            sent = await service.send_code(new_phone())
            assert (await service.verify(sent)).status_code == 201
            for step in (*steps, -sum(steps)):
                service.clock.move(seconds=step)
                code = (await service.verify(sent)).json()["code"]
                assert code in {"challenge_spent", "challenge_expired"}, steps
            refused(await service.verify(sent), 400, "challenge_spent")


@either_way
async def test_a_clock_step_lengthens_a_wait_by_at_most_the_step(
    database_url: str, step: int
) -> None:
    async with running(database_url, REFERRAL_RESEND_WAITS="30") as service:
        person = await service.sign_in()
        service.clock.move(seconds=step)
        response = await service.post("/auth/send-code", phone=person.phone)
        if step < 0:
            refused(response, 429, "too_many_requests")
            wait = int(response.headers["retry-after"])
            assert 0 < wait <= STEP + 31
            service.clock.move(seconds=wait)
            response = await service.post("/auth/send-code", phone=person.phone)
        assert (await service.verify(ok(response))).status_code == 200


@either_way
async def test_a_session_survives_a_clock_step(service: Service, step: int) -> None:
    person = await service.sign_in()
    service.clock.move(seconds=step)
    assert (await person.profile())["phone"] == person.phone
    for _ in range(2):
        person.tokens |= ok(await person.refresh())
        service.clock.move(seconds=-step)
        assert (await person.profile())["phone"] == person.phone


@either_way
async def test_an_access_token_expires_on_time_after_a_clock_step(
    service: Service, step: int
) -> None:
    person = await service.sign_in()
    service.clock.move(seconds=step)
    ok(await person.call("GET", "/profile"))
    service.clock.move(seconds=person.tokens["expires_in"] - step)
    refused(await person.call("GET", "/profile"), 401, "unauthorized")


@either_way
async def test_a_replaced_refresh_token_gets_another_after_grace(
    service: Service, step: int
) -> None:
    """The successor that this replaces then ends the session if it is used."""
    person = await service.sign_in()
    following = ok(await person.refresh())["refresh_token"]
    service.clock.move(seconds=step)
    if step < 0:
        assert ok(await person.refresh())["refresh_token"] == following
        service.clock.move(seconds=STEP + 31)
    another = ok(await person.refresh())["refresh_token"]
    assert another != following
    refused(await person.refresh(following), 401, "invalid_refresh_token")
    refused(await person.refresh(another), 401, "invalid_refresh_token")


@either_way
async def test_an_old_refresh_token_ends_the_session_after_clock_step(
    service: Service, step: int
) -> None:
    person = await service.sign_in()
    tokens = [person.tokens["refresh_token"]]
    for _ in range(2):
        service.clock.move(seconds=step)
        tokens.append(ok(await person.refresh(tokens[-1]))["refresh_token"])
    service.clock.move(seconds=-step)
    refused(await person.refresh(tokens[0]), 401, "invalid_refresh_token")
    refused(await person.refresh(tokens[-1]), 401, "invalid_refresh_token")


@dataclass
class Walker:
    """A client that does random things, and checks that it is granted no more than it may be."""

    service: Service
    random: Random
    phone: str = field(default_factory=new_phone)
    sent: dict[str, Any] = field(default_factory=dict)
    expires: float = 0
    guesses: int = 0
    used: bool = False
    person: Person | None = None
    chain: list[str] = field(default_factory=list)
    late_repeats: int = 0

    def now(self) -> float:
        return self.service.clock().timestamp()

    async def act(self) -> httpx.Response:
        actions = [self.send_code]
        if self.sent:
            actions += [self.verify_right, self.verify_wrong]
        if self.person:
            actions += [self.refresh, self.reuse, self.profile]
        return await self.random.choice(actions)()

    async def send_code(self) -> httpx.Response:
        response = await self.service.post("/auth/send-code", phone=self.phone)
        if response.is_success:
            self.sent, self.guesses, self.used = response.json(), 0, False
            self.expires = self.now() + self.sent["expires_in"]
        return response

    async def verify_right(self) -> httpx.Response:
        response = await self.service.verify(self.sent)
        if response.is_success:
            assert not self.used
            assert self.guesses < 3
            assert self.now() < self.expires + 1
            self.used = True
            tokens = response.json()
            self.person = Person(self.service.http, self.phone, tokens, is_new=False)
            self.chain, self.late_repeats = [tokens["refresh_token"]], 0
        return response

    async def verify_wrong(self) -> httpx.Response:
        response = await self.service.verify(with_wrong_code(self.sent))
        assert response.is_error
        self.guesses += response.json()["code"] == "wrong_code"
        assert self.guesses <= 3
        return response

    async def refresh(self) -> httpx.Response:
        assert self.person
        response = await self.person.refresh(self.chain[-1])
        if response.is_success:
            self.chain.append(response.json()["refresh_token"])
            self.person.tokens |= response.json()
        else:
            self.person = None
        return response

    async def reuse(self) -> httpx.Response:
        """Use any refresh token so far: only the last two may work, others end the session."""
        assert self.person
        index = self.random.randrange(len(self.chain))
        response = await self.person.refresh(self.chain[index])
        if response.is_error:
            self.person = None
        elif index == len(self.chain) - 1:
            self.chain.append(response.json()["refresh_token"])
        else:
            assert index == len(self.chain) - 2
            if response.json()["refresh_token"] != self.chain[-1]:
                # Used after its grace: a new successor replaces the current one, which is old now
                self.late_repeats += 1
                assert self.late_repeats <= 3
                self.chain.insert(index, self.chain.pop())
                self.chain.append(response.json()["refresh_token"])
        return response

    async def profile(self) -> httpx.Response:
        assert self.person
        response = await self.person.call("GET", "/profile")
        assert response.is_success or response.json()["code"] == "unauthorized"
        return response


@pytest.mark.long
async def test_random_actions_and_clock_steps_grant_nothing_more(database_url: str) -> None:
    random = Random(5)  # noqa: S311 - a seed, for the same steps each time
    settings = UNLIMITED_GUESSES | {"REFERRAL_RESEND_WAITS": "30", "REFERRAL_CODE_TTL": "300"}
    async with running(database_url, **settings) as service:
        walkers = [Walker(service, random) for _ in range(5)]
        outcomes: set[str] = set()
        stepped = 0
        for _ in range(1000):
            step = random.choice((-STEP, STEP)) if random.random() < 0.2 else random.uniform(0, 15)
            if abs(stepped + step) <= STEP:
                stepped += int(step) if abs(step) == STEP else 0
                service.clock.move(seconds=step)
            response = await random.choice(walkers).act()
            assert response.status_code < 500, response.text
            outcomes.add(response.json().get("code", "success") if response.is_error else "success")
        assert outcomes >= {
            "success", "wrong_code", "challenge_expired", "challenge_spent",
            "too_many_requests", "invalid_refresh_token",
        }  # fmt: skip
        service.clock.move(seconds=STEP + 3600)
        for walker in walkers:
            ok(await service.verify(await service.send_code(walker.phone)))


# --- SIGTERM, and clients that never finish ---


@dataclass
class OpenRequest:
    """A request whose head the service has read, and whose body is still missing."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, body: bytes) -> None:
        self.writer.write(body)
        await self.writer.drain()

    async def response(self) -> bytes:
        """Return everything up to the end of the connection."""
        return await self.reader.read()

    async def dribble(self) -> None:
        """Send a byte a second, without end."""
        with suppress(OSError):
            while True:
                await self.send(b" ")
                await asyncio.sleep(1)


@pytest.mark.long
@pytest.mark.parametrize("dribbling", [False, True], ids=["finishing", "dribbling"])
async def test_sigterm_under_load_loses_no_request(
    database_url: str, tmp_path: Path, *, dribbling: bool
) -> None:
    settings = {
        "DATABASE_URL": database_url,
        "REFERRAL_SMS_URL": "simulated://",
        "WEB_CONCURRENCY": "2",
        **LIMITLESS,
    }
    bodies = [b'{"phone": "%s"}' % new_phone().encode() for _ in range(40)]
    with serving(tmp_path, **settings) as server:
        processes = process_tree(server.process.pid)
        async with AsyncExitStack() as stack:
            idle = [await stack.enter_async_context(kept_alive(server)) for _ in range(8)]
            requests = [
                await stack.enter_async_context(open_request(server, "/auth/send-code", len(body)))
                for body in bodies
            ]
            if dribbling:
                endless = await stack.enter_async_context(
                    open_request(server, "/auth/send-code", 9999)
                )
                task = asyncio.create_task(endless.dribble())
                stack.callback(task.cancel)
            load = [asyncio.create_task(signing_in_until_refused(server)) for _ in range(8)]
            await asyncio.sleep(1)  # of load
            for request, body in zip(requests[::2], bodies[::2], strict=True):
                await request.send(body)
            server.process.send_signal(signal.SIGTERM)
            signalled = monotonic()
            for connection in idle:
                assert await connection.response() == b""
            assert monotonic() - signalled < 5
            # All idle connections may have been to one process: the other stops a moment later
            while (outcome := await new_connection(server)) == "200":
                assert monotonic() - signalled < 5
            assert outcome == "refused"
            for request, body in zip(requests[1::2], bodies[1::2], strict=True):
                await request.send(body)
            for request in requests:
                assert (await request.response()).startswith(b"HTTP/1.1 200 ")
            status = await asyncio.to_thread(server.process.wait, 25)
            # Python's resource tracker ends a moment after the parent
            while left := [process for process in processes if is_running(process)]:
                assert monotonic() - signalled < 25, left
                await asyncio.sleep(0.05)
            assert monotonic() - signalled < 25
            statuses = [each for task in load for each in await task]
        assert status == 0
        assert await new_connection(server) == "refused"
    assert set(statuses) <= {200, 201}
    assert len(processes) >= 3
    assert len(statuses) >= 8


@pytest.mark.long
async def test_a_hundred_endless_requests_delay_no_other(database_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": database_url, "WEB_CONCURRENCY": "2", **LIMITLESS}
    with serving(tmp_path, **settings) as server:
        async with client(server) as http, AsyncExitStack() as stack:
            service = Service(http, Clock(), Inbox())
            person = await service.sign_in()
            bearer = f"Authorization: Bearer {person.tokens['access_token']}\r\n"
            without = await many_sign_ins(service)
            for number in range(100):
                path, head = (
                    ("/auth/send-code", "") if number % 2 else ("/profile/phone/send-code", bearer)
                )
                slow = await stack.enter_async_context(open_request(server, path, 9999, head))
                task = asyncio.create_task(slow.dribble())
                stack.callback(task.cancel)
            during = await many_sign_ins(service)
            if database_url.startswith("postgres"):
                await wait_until_no_transaction(database_url)
            profiles = await asyncio.gather(*(person.profile() for _ in range(50)))
            assert {profile["phone"] for profile in profiles} == {person.phone}
    assert max(during) < 10
    assert statistics.median(during) < 5 * statistics.median(without) + 0.5


# --- Helpers ---


@contextmanager
def locked(database_url: str) -> Iterator[None]:
    """Hold a write lock on the SQLite file from another process, until the block ends."""
    command = [sys.executable, "-c", _HOLD, database_url.removeprefix("sqlite://")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"locked\n"
        # Leaving the Popen block closes its stdin, which ends it
        yield


_HOLD = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], isolation_level=None).execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def unavailable(response: httpx.Response) -> None:
    refused(response, 503, "storage_unavailable")
    assert int(response.headers["retry-after"]) > 0


async def timed(call: Coroutine[Any, Any, httpx.Response]) -> tuple[httpx.Response, float]:
    """Return the response and the seconds it took."""
    start = monotonic()
    async with asyncio.timeout(PLATFORM_SECONDS):
        return await call, monotonic() - start


def assert_intact(disk: Disk) -> None:
    with closing(sqlite3.connect(disk.folder / "referral.sqlite3")) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def guess(service: Service, sent: dict[str, Any]) -> bool:
    """Make a wrong guess; return whether it was compared with the code."""
    code = (await service.verify(with_wrong_code(sent))).json()["code"]
    assert code in {"wrong_code", "too_many_attempts", "challenge_expired"}
    return bool(code == "wrong_code")


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[OpenRequest]:
    url = httpx.URL(server.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield OpenRequest(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def open_request(
    server: Server, path: str, length: int, head: str = ""
) -> AsyncIterator[OpenRequest]:
    """Start a POST whose body of this length is still missing."""
    async with connected(server) as request:
        # The service responds to `Expect` as soon as it starts to read the body
        await request.send(
            f"POST /api/v1{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{head}"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        async with asyncio.timeout(10):
            assert await request.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield request


@asynccontextmanager
async def kept_alive(server: Server) -> AsyncIterator[OpenRequest]:
    """Open a connection that has got a response and is idle."""
    async with connected(server) as request:
        await request.send(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await request.reader.readuntil(b'{"status":"ok"}')).startswith(b"HTTP/1.1 200 ")
        yield request


async def new_connection(server: Server) -> str:
    """Return the status over a new connection, or "refused", or "no response" within a second."""
    try:
        async with httpx.AsyncClient(timeout=1) as http:
            response = await http.get(f"{server.url}/health/live")
    except httpx.ConnectError:
        return "refused"
    except httpx.TransportError:
        return "no response"
    return str(response.status_code)


async def signing_in_until_refused(server: Server) -> list[int]:
    """Return the statuses of the responses before the service refused a connection."""
    statuses: list[int] = []
    async with client(server) as http:
        service = Service(http, Clock(), Inbox())
        with suppress(httpx.TransportError):
            while True:
                response = await service.post("/auth/send-code", phone=new_phone())
                statuses.append(response.status_code)
                response = await service.verify(ok(response))
                statuses.append(response.status_code)
    return statuses


async def many_sign_ins(service: Service) -> list[float]:
    """Return the seconds that each of 60 sign-ins took, 6 at a time."""
    took: list[float] = []

    async def some() -> None:
        for _ in range(10):
            start = monotonic()
            await service.sign_in()
            took.append(monotonic() - start)

    await asyncio.gather(*(some() for _ in range(6)))
    return took


async def wait_until_no_transaction(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(10):
            while await connection.fetchval(_IN_TRANSACTION):  # noqa: ASYNC110 - of other processes
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


_IN_TRANSACTION = """
    SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND datname = current_database()
    AND pid <> pg_backend_pid() AND state <> 'idle'
"""
