"""Worker processes killed at random moments, again and again, while people use the service.

What was acknowledged stays; what was not has happened once or not at all, and a retry tells which.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from processes import Server, serving
from referral.core import tokens
from referral.storage import database
from support import new_phone, ok, refused

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc"),
]

WORKERS = 4
ROUNDS, KILLS_A_ROUND = 5, 12
CLIENTS = 16
GUESSES = 3
REPLACED_SECONDS = 15
# Less than the 30 s for which a replaced refresh token still answers with its successor
ANSWERED_SECONDS = 25
SAMPLE = 50
MANY = "1000000"

# A guess whose worker died stays charged, as it has to. What that adds up to for everybody behind
# this one address is not the question here; a challenge's own three guesses stay.
SETTINGS = {
    "WEB_CONCURRENCY": str(WORKERS),
    "REFERRAL_CODE_TTL": "600",
    "REFERRAL_GUESSES_PER_CHALLENGE": str(GUESSES),
    "REFERRAL_FAILURES_PER_PHONE_DAY": MANY,
    "REFERRAL_FAILURES_PER_PHONE_MONTH": MANY,
    "REFERRAL_FAILURES_PER_PHONE_DAY_MAX": MANY,
    "REFERRAL_FAILURES_PER_ADDRESS_HOUR": MANY,
    "REFERRAL_SENDS_PER_ADDRESS_HOUR": MANY,
    "REFERRAL_SENDS_PER_DAY": MANY,
}


async def test_nothing_acknowledged_is_lost_and_nothing_happens_twice_while_workers_are_killed(
    database_url: str, tmp_path: Path
) -> None:
    random, ledger = Random(5), Ledger()  # noqa: S311 - the same plan each time
    with serving(tmp_path, DATABASE_URL=database_url, **SETTINGS) as server:
        first = workers(server)
        async with client(server) as http:
            for _ in range(ROUNDS):
                async with people_at_work(http, ledger, random):
                    await kill(server, KILLS_A_ROUND, random)
                await settle_challenges(http, ledger, random)
                await assert_database_agrees(database_url, ledger)
                await assert_service_agrees(http, ledger, random)
        assert first.isdisjoint(workers(server))
    for what in ("verify", "refresh", "activate"):
        assert ledger.unanswered[what] > 0, "the kills met no such request: they prove nothing"


async def test_requests_wait_while_every_worker_is_killed_and_replaced(
    database_url: str, tmp_path: Path
) -> None:
    """Nobody is refused a connection: the supervisor holds the socket."""
    with serving(tmp_path, DATABASE_URL=database_url, **SETTINGS) as server:
        async with client(server) as http:
            person = Person(http, Ledger(), Random(6))  # noqa: S311
            await person.sign_up()
            for _ in range(3):
                killed = workers(server)
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
                ready = await http.get("/health/ready")
                assert ready.status_code == 200
                await until_replaced(server, killed)
                await person.refresh()


@dataclass
class Challenge:
    """What a client knows of one. unanswered: how many of its verify calls had no answer."""

    phone: str
    body: dict[str, str]
    unanswered: int = 0
    successes: int = 0
    is_spent: bool = False
    is_used_up: bool = False

    @property
    def is_redeemed(self) -> bool:
        return self.successes > 0 or self.is_spent

    @property
    def is_settled(self) -> bool:
        return self.is_redeemed or self.is_used_up


@dataclass
class Account:
    """What the service acknowledged of a user. inviter: the invite code that was activated."""

    phone: str
    invite_code: str
    inviter: str | None


@dataclass
class Session:
    account: Account
    access_token: str
    refresh_token: str


@dataclass
class Ledger:
    """Every acknowledged answer, and how many requests of which kind had none."""

    challenges: list[Challenge] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)
    hit: set[str] = field(default_factory=set)
    """Phones for which a request had no answer since the last check."""

    def redeemed(self) -> Counter[str]:
        """How many challenges of each phone were redeemed."""
        return Counter(each.phone for each in self.challenges if each.is_redeemed)

    def invitees(self) -> Counter[str | None]:
        """How many activated each invite code."""
        return Counter(account.inviter for account in self.accounts.values())

    def to_look_at(self, random: Random) -> set[str]:
        """The phones that the kills hit, and some others."""
        some = random.sample(sorted(self.accounts), min(SAMPLE, len(self.accounts)))
        return {*some, *self.hit} & self.accounts.keys()


class Person:
    """One client: does one thing after another, and repeats what had no answer until it has."""

    def __init__(self, http: httpx.AsyncClient, ledger: Ledger, random: Random) -> None:
        self._http, self._ledger, self._random = http, ledger, random
        self._sessions: list[Session] = []
        self._own: list[Session] = []
        """The first session of each account that this client made: it alone activates for it."""

    async def live(self, stop: asyncio.Event) -> None:
        await self.sign_up()
        deeds = (self.sign_up, self.sign_in_somewhere, self.refresh, self.refresh, self.activate)
        while not stop.is_set():
            await self._random.choice(deeds)()

    async def sign_up(self) -> None:
        """Every other time with somebody's invite code."""
        phone = new_phone()
        inviters = [account.invite_code for account in self._ledger.accounts.values()]
        invite_code = self._random.choice([None, self._random.choice(inviters or [None])])
        challenge = await self._sign_in(phone, invite_code)
        if phone not in self._ledger.accounts:
            # Signed up or not, the answer is lost for good; signing in again shows the account
            redeemed = challenge.is_redeemed
            while phone not in self._ledger.accounts:
                await self._sign_in(phone)
            if redeemed:
                assert self._ledger.accounts[phone].inviter == invite_code
        self._own.append(next(each for each in self._sessions if each.account.phone == phone))

    async def sign_in_somewhere(self) -> None:
        await self._sign_in(self._random.choice(list(self._ledger.accounts)))

    async def refresh(self) -> None:
        session = self._random.choice(self._sessions)
        old = session.refresh_token
        new = await self.refreshed(session)
        assert new != old
        if self._random.random() < 0.2:
            # Another tab with the same token
            assert await self.refreshed(session) == new
        session.refresh_token = new

    async def activate(self) -> None:
        session = self._random.choice(self._own)
        account = session.account
        code = self._random.choice([each.invite_code for each in self._ledger.accounts.values()])
        response = await self._answer(
            "activate", "PUT", "/profile/inviter", {"invite_code": code}, session
        )
        if code == account.invite_code:
            refused(response, 409, "own_invite_code")
        elif account.inviter not in {None, code}:
            refused(response, 409, "invite_already_activated")
        elif response.is_error:
            refused(response, 409, "invite_loop")
        else:
            assert response.json()["activated_invite_code"] == code
            account.inviter = code

    async def refreshed(self, session: Session) -> str:
        """The answer to the session's refresh token as the ledger has it."""
        body = {"refresh_token": session.refresh_token}
        answer = ok(await self._answer("refresh", "POST", "/auth/refresh", body, session))
        session.access_token = answer["access_token"]
        token: str = answer["refresh_token"]
        return token

    async def redeem(self, challenge: Challenge) -> None:
        """One try at it."""
        was_settled = challenge.is_settled
        response = await self._once("verify", "POST", "/auth/verify", challenge.body)
        if response is None:
            challenge.unanswered += 1
            self._ledger.hit.add(challenge.phone)
        elif response.is_success:
            assert not was_settled, "good once more"
            assert challenge.successes == 0, "redeemed twice"
            challenge.successes += 1
            self._acknowledge(challenge, response)
        elif response.status_code == 429:
            refused(response, 429, "too_many_attempts")
            assert challenge.unanswered >= GUESSES, "a guess that was answered stayed charged"
            assert not challenge.is_redeemed, "not told as spent"
            challenge.is_used_up = True
        else:
            refused(response, 400, "challenge_spent")
            challenge.is_spent = True

    async def profile(self, session: Session) -> dict[str, Any]:
        return ok(await self._answer("profile", "GET", "/profile", None, session))

    async def _sign_in(self, phone: str, invite_code: str | None = None) -> Challenge:
        sent = ok(await self._answer("send-code", "POST", "/auth/send-code", {"phone": phone}))
        body = {"token": sent["token"], "code": sent["code"]}
        if invite_code is not None:
            body["invite_code"] = invite_code
        challenge = Challenge(phone, body)
        self._ledger.challenges.append(challenge)
        # Now and then the form is sent twice
        at_once = self._random.choice((1, 1, 2))
        await asyncio.gather(*(self.redeem(challenge) for _ in range(at_once)))
        async with asyncio.timeout(ANSWERED_SECONDS):
            while not challenge.is_settled:
                await self.redeem(challenge)
        assert challenge.successes or challenge.unanswered, "spent by nobody"
        if self._random.random() < 0.2:
            await self.redeem(challenge)
        return challenge

    def _acknowledge(self, challenge: Challenge, response: httpx.Response) -> None:
        body = response.json()
        profile, ledger = body["profile"], self._ledger
        assert profile["phone"] == challenge.phone
        account = ledger.accounts.get(challenge.phone)
        was_there = any(
            each.is_redeemed and each is not challenge and each.phone == challenge.phone
            for each in ledger.challenges
        )
        if was_there:
            assert response.status_code == 200
        if account is None:
            account = Account(
                challenge.phone, profile["invite_code"], profile["activated_invite_code"]
            )
            ledger.accounts[challenge.phone] = account
        assert profile["invite_code"] == account.invite_code
        if "invite_code" in challenge.body:
            assert profile["activated_invite_code"] == challenge.body["invite_code"]
        session = Session(account, body["access_token"], body["refresh_token"])
        self._sessions.append(session)
        ledger.sessions.append(session)

    async def _answer(
        self,
        what: str,
        method: str,
        path: str,
        body: dict[str, str] | None,
        session: Session | None = None,
    ) -> httpx.Response:
        """The answer to the request, however often it takes."""
        async with asyncio.timeout(ANSWERED_SECONDS):
            while (response := await self._once(what, method, path, body, session)) is None:
                if session is not None:
                    self._ledger.hit.add(session.account.phone)
        return response

    async def _once(
        self,
        what: str,
        method: str,
        path: str,
        body: dict[str, str] | None,
        session: Session | None = None,
    ) -> httpx.Response | None:
        """None where the worker died with the request, or could not do it now."""
        headers = {"Authorization": f"Bearer {session.access_token}"} if session else {}
        try:
            response = await self._http.request(
                method, f"/api/v1{path}", json=body, headers=headers
            )
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            self._ledger.unanswered[what] += 1
            return None
        if response.status_code == 503:
            refused(response, 503, "storage_unavailable")
            self._ledger.unanswered["503"] += 1
            await asyncio.sleep(int(response.headers["retry-after"]))
            return None
        assert not response.is_server_error, response.text
        return response


def client(server: Server) -> httpx.AsyncClient:
    """Every request has a connection of its own, so all processes get some."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=server.url, timeout=ANSWERED_SECONDS, limits=limits)


@asynccontextmanager
async def people_at_work(
    http: httpx.AsyncClient, ledger: Ledger, random: Random
) -> AsyncIterator[None]:
    """Clients at work until the block ends, and each until it has the answer it waits for."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            seed = random.random()
            group.create_task(Person(http, ledger, Random(seed)).live(stop))  # noqa: S311
        try:
            yield
        finally:
            stop.set()


async def kill(server: Server, number: int, random: Random) -> None:
    """Kill so many workers, up to three at a time, at any moment, also while they start."""
    while number > 0:
        victims = random.sample(sorted(workers(server)), min(number, random.choice((1, 1, 2, 3))))
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        number -= len(victims)
        await until_replaced(server, victims)
        await asyncio.sleep(random.uniform(0.3, 1))


async def until_replaced(server: Server, victims: Iterable[int]) -> None:
    """Until there are as many workers as before, none of them these."""
    async with asyncio.timeout(REPLACED_SECONDS):
        while len(workers(server) - set(victims)) < WORKERS:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)


def workers(server: Server) -> set[int]:
    """The process ids of the server's workers that live."""
    found = set()
    for children in Path(f"/proc/{server.process.pid}/task").glob("*/children"):
        for pid in children.read_text().split():
            try:
                # Empty for one that has ended; the supervisor has other children too
                command = Path(f"/proc/{pid}/cmdline").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if "spawn_main" in command:
                found.add(int(pid))
    return found


async def settle_challenges(http: httpx.AsyncClient, ledger: Ledger, random: Random) -> None:
    """Try those that a kill hit, and some others, once more: none is good any more."""
    person = Person(http, ledger, random)
    hit = [each for each in ledger.challenges if each.phone in ledger.hit]
    some = random.sample(ledger.challenges, min(SAMPLE, len(ledger.challenges)))
    await asyncio.gather(*(person.redeem(each) for each in [*hit, *some]))


async def assert_database_agrees(url: str, ledger: Ledger) -> None:
    await database.connect(url)
    try:
        users = await database.query(
            "SELECT id, phone, invite_code, inviter_id, invitee_count FROM users"
        )
        sessions = await database.query("SELECT id, user_id, refresh_digest FROM sessions")
        if not database.is_postgres():
            assert await database.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    finally:
        await database.disconnect()
    assert_sessions_agree(users, sessions, ledger)
    assert_invitations_agree(users, ledger)


def assert_sessions_agree(
    users: list[dict[str, Any]], sessions: list[dict[str, Any]], ledger: Ledger
) -> None:
    """One for each challenge that was redeemed, and no user without; the last tokens are good."""
    phones = {str(user["id"]): user["phone"] for user in users}
    assert Counter(phones[str(session["user_id"])] for session in sessions) == ledger.redeemed()
    assert set(phones.values()) == ledger.redeemed().keys()
    live = {str(session["id"]): bytes(session["refresh_digest"]) for session in sessions}
    for session in ledger.sessions:
        token = tokens.parse_refresh(session.refresh_token)
        assert live[str(token.session_id)] == tokens.digest(token)


def assert_invitations_agree(users: list[dict[str, Any]], ledger: Ledger) -> None:
    codes = {str(user["id"]): user["invite_code"] for user in users}
    rows = {user["phone"]: user for user in users}
    for account in ledger.accounts.values():
        row = rows[account.phone]
        assert row["invite_code"] == account.invite_code
        assert codes.get(str(row["inviter_id"])) == account.inviter
    counts = Counter(str(user["inviter_id"]) for user in users if user["inviter_id"])
    assert {str(user["id"]): user["invitee_count"] for user in users} == {
        user_id: counts[user_id] for user_id in codes
    }


async def assert_service_agrees(http: httpx.AsyncClient, ledger: Ledger, random: Random) -> None:
    """For everybody whom the kills hit, and some others."""
    person = Person(http, ledger, random)
    phones, invitees = ledger.to_look_at(random), ledger.invitees()
    sessions = [each for each in ledger.sessions if each.account.phone in phones]
    await asyncio.gather(*(assert_session_works(person, each, invitees) for each in sessions))
    ledger.hit.clear()


async def assert_session_works(
    person: Person, session: Session, invitees: Counter[str | None]
) -> None:
    """Its last tokens, and what its profile says. The ledger goes on with the next ones."""
    successor = await person.refreshed(session)
    assert await person.refreshed(session) == successor
    session.refresh_token = successor
    account, profile = session.account, await person.profile(session)
    assert profile["phone"] == account.phone
    assert profile["invite_code"] == account.invite_code
    assert profile["activated_invite_code"] == account.inviter
    assert profile["invitee_count"] == invitees[account.invite_code]
