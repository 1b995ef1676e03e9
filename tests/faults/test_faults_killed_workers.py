"""Worker processes are killed at random moments while clients use the service.

Changes that got a response stay. A change without a response has happened once or not at all, and a
retry tells which.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from killing import WORKERS, kill, wait_replaced, workers
from parallel_requests import client
from processes import serving
from referral.core import tokens
from referral.storage import database
from support import new_phone, ok, refused

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc"),
]

ROUNDS, KILLS_A_ROUND = 5, 12
CLIENTS = 16
GUESSES = 3
# Less than the 30 s for which a replaced refresh token still gets its successor
RESPONSE_SECONDS = 25
SAMPLE = 50
MANY = "1000000"

# A guess whose worker died stays charged, so all limits except the challenge's own are raised
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


async def test_killed_workers_lose_and_repeat_nothing(database_url: str, tmp_path: Path) -> None:
    random, ledger = Random(5), Ledger()  # noqa: S311 - a seed, for the same plan each time
    with serving(tmp_path, DATABASE_URL=database_url, **SETTINGS) as server:
        first = workers(server)
        async with client(server, timeout=RESPONSE_SECONDS) as http:
            for _ in range(ROUNDS):
                async with active_clients(http, ledger, random):
                    await kill(server, KILLS_A_ROUND, random)
                await settle_challenges(http, ledger, random)
                await assert_database_agrees(database_url, ledger)
                await assert_service_agrees(http, ledger, random)
        assert first.isdisjoint(workers(server))
    for kind in ("verify", "refresh", "activate"):
        assert ledger.unanswered[kind] > 0, "no such request was interrupted, so nothing is proven"


async def test_requests_wait_while_every_worker_is_killed_and_replaced(
    database_url: str, tmp_path: Path
) -> None:
    """No connection is refused, because the supervisor holds the socket."""
    with serving(tmp_path, DATABASE_URL=database_url, **SETTINGS) as server:
        async with client(server, timeout=RESPONSE_SECONDS) as http:
            tester = Client(http, Ledger(), Random(6))  # noqa: S311 - a seed
            await tester.sign_up()
            for _ in range(3):
                killed = workers(server)
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
                ready = await http.get("/health/ready")
                assert ready.status_code == 200
                await wait_replaced(server, killed)
                await tester.refresh()


@dataclass
class Challenge:
    """A challenge as a client knows it. unanswered: how many verify calls got no response."""

    phone: str
    body: dict[str, str]
    unanswered: int = 0
    successes: int = 0
    is_spent: bool = False
    is_exhausted: bool = False

    @property
    def is_redeemed(self) -> bool:
        return self.successes > 0 or self.is_spent

    @property
    def is_settled(self) -> bool:
        return self.is_redeemed or self.is_exhausted


@dataclass
class Account:
    """A user as the service confirmed it. inviter: the invite code that was activated."""

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
    """All confirmed changes, and how many requests of each kind got no response."""

    challenges: list[Challenge] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)
    hit: set[str] = field(default_factory=set)
    """Phones for which a request got no response since the last check."""

    def redeemed(self) -> Counter[str]:
        """Count the redeemed challenges of each phone."""
        return Counter(each.phone for each in self.challenges if each.is_redeemed)

    def invitees(self) -> Counter[str | None]:
        """Count the activations of each invite code."""
        return Counter(account.inviter for account in self.accounts.values())

    def sample(self, random: Random) -> set[str]:
        """Return the phones that were hit by a kill, and some others."""
        some = random.sample(sorted(self.accounts), min(SAMPLE, len(self.accounts)))
        return {*some, *self.hit} & self.accounts.keys()


class Client:
    """A client that does one thing after another, and repeats each until it gets a response."""

    def __init__(self, http: httpx.AsyncClient, ledger: Ledger, random: Random) -> None:
        self._http, self._ledger, self._random = http, ledger, random
        self._sessions: list[Session] = []
        self._own: list[Session] = []
        """The first session of each account this client created. Only it activates invite codes."""

    async def run(self, stop: asyncio.Event) -> None:
        await self.sign_up()
        actions = (self.sign_up, self.sign_in_again, self.refresh, self.refresh, self.activate)
        while not stop.is_set():
            await self._random.choice(actions)()

    async def sign_up(self) -> None:
        """Sign up, every other time with the invite code of another user."""
        phone = new_phone()
        inviters = [account.invite_code for account in self._ledger.accounts.values()]
        invite_code = self._random.choice([None, self._random.choice(inviters or [None])])
        challenge = await self._sign_in(phone, invite_code)
        if phone not in self._ledger.accounts:
            # The response is lost, and whether the user was created is unknown. Sign in again
            redeemed = challenge.is_redeemed
            while phone not in self._ledger.accounts:
                await self._sign_in(phone)
            if redeemed:
                assert self._ledger.accounts[phone].inviter == invite_code
        self._own.append(next(each for each in self._sessions if each.account.phone == phone))

    async def sign_in_again(self) -> None:
        await self._sign_in(self._random.choice(list(self._ledger.accounts)))

    async def refresh(self) -> None:
        session = self._random.choice(self._sessions)
        old = session.refresh_token
        new = await self.refreshed(session)
        assert new != old
        if self._random.random() < 0.2:
            # As another tab with the same token would
            assert await self.refreshed(session) == new
        session.refresh_token = new

    async def activate(self) -> None:
        session = self._random.choice(self._own)
        account = session.account
        code = self._random.choice([each.invite_code for each in self._ledger.accounts.values()])
        response = await self._request(
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
        """Refresh the session; return the next refresh token without storing it."""
        body = {"refresh_token": session.refresh_token}
        tokens = ok(await self._request("refresh", "POST", "/auth/refresh", body, session))
        session.access_token = tokens["access_token"]
        token: str = tokens["refresh_token"]
        return token

    async def redeem(self, challenge: Challenge) -> None:
        """Try once to redeem the challenge."""
        was_settled = challenge.is_settled
        response = await self._once("verify", "POST", "/auth/verify", challenge.body)
        if response is None:
            challenge.unanswered += 1
            self._ledger.hit.add(challenge.phone)
        elif response.is_success:
            assert not was_settled, "accepted again"
            assert challenge.successes == 0, "redeemed twice"
            challenge.successes += 1
            self._confirm(challenge, response)
        elif response.status_code == 429:
            refused(response, 429, "too_many_attempts")
            assert challenge.unanswered >= GUESSES, "a guess that got a response stayed charged"
            assert not challenge.is_redeemed, "should be spent"
            challenge.is_exhausted = True
        else:
            refused(response, 400, "challenge_spent")
            challenge.is_spent = True

    async def profile(self, session: Session) -> dict[str, Any]:
        return ok(await self._request("profile", "GET", "/profile", None, session))

    async def _sign_in(self, phone: str, invite_code: str | None = None) -> Challenge:
        sent = ok(await self._request("send-code", "POST", "/auth/send-code", {"phone": phone}))
        body = {"token": sent["token"], "code": sent["code"]}
        if invite_code is not None:
            body["invite_code"] = invite_code
        challenge = Challenge(phone, body)
        self._ledger.challenges.append(challenge)
        # Sometimes twice, as when a form is submitted twice
        parallel = self._random.choice((1, 1, 2))
        await asyncio.gather(*(self.redeem(challenge) for _ in range(parallel)))
        async with asyncio.timeout(RESPONSE_SECONDS):
            while not challenge.is_settled:
                await self.redeem(challenge)
        assert challenge.successes or challenge.unanswered, "spent without a request"
        if self._random.random() < 0.2:
            await self.redeem(challenge)
        return challenge

    def _confirm(self, challenge: Challenge, response: httpx.Response) -> None:
        body = response.json()
        profile, ledger = body["profile"], self._ledger
        assert profile["phone"] == challenge.phone
        account = ledger.accounts.get(challenge.phone)
        existed = any(
            each.is_redeemed and each is not challenge and each.phone == challenge.phone
            for each in ledger.challenges
        )
        if existed:
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

    async def _request(
        self,
        kind: str,
        method: str,
        path: str,
        body: dict[str, str] | None,
        session: Session | None = None,
    ) -> httpx.Response:
        """Repeat the request until there is a response, and return it."""
        async with asyncio.timeout(RESPONSE_SECONDS):
            while (response := await self._once(kind, method, path, body, session)) is None:
                if session is not None:
                    self._ledger.hit.add(session.account.phone)
        return response

    async def _once(
        self,
        kind: str,
        method: str,
        path: str,
        body: dict[str, str] | None,
        session: Session | None = None,
    ) -> httpx.Response | None:
        """Return the response, or None if the worker died or the response was a 503."""
        headers = {"Authorization": f"Bearer {session.access_token}"} if session else {}
        try:
            response = await self._http.request(
                method, f"/api/v1{path}", json=body, headers=headers
            )
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            self._ledger.unanswered[kind] += 1
            return None
        if response.status_code == 503:
            refused(response, 503, "storage_unavailable")
            self._ledger.unanswered["503"] += 1
            await asyncio.sleep(int(response.headers["retry-after"]))
            return None
        assert not response.is_server_error, response.text
        return response


@asynccontextmanager
async def active_clients(
    http: httpx.AsyncClient, ledger: Ledger, random: Random
) -> AsyncIterator[None]:
    """Run clients until the block ends, and each until it has the response it waits for."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            seed = random.random()
            group.create_task(Client(http, ledger, Random(seed)).run(stop))  # noqa: S311 - a seed
        try:
            yield
        finally:
            stop.set()


async def settle_challenges(http: httpx.AsyncClient, ledger: Ledger, random: Random) -> None:
    """Try the challenges hit by a kill, and some others, once more: none works again."""
    tester = Client(http, ledger, random)
    hit = [each for each in ledger.challenges if each.phone in ledger.hit]
    some = random.sample(ledger.challenges, min(SAMPLE, len(ledger.challenges)))
    await asyncio.gather(*(tester.redeem(each) for each in [*hit, *some]))


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
    """Check that each redeemed challenge has one session, and that the last tokens are valid."""
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
    """Check the sessions of the accounts hit by a kill, and of some others."""
    tester = Client(http, ledger, random)
    phones, invitees = ledger.sample(random), ledger.invitees()
    sessions = [each for each in ledger.sessions if each.account.phone in phones]
    await asyncio.gather(*(assert_session_works(tester, each, invitees) for each in sessions))
    ledger.hit.clear()


async def assert_session_works(
    tester: Client, session: Session, invitees: Counter[str | None]
) -> None:
    """Check the session's last tokens and its profile. The ledger gets its next refresh token."""
    successor = await tester.refreshed(session)
    assert await tester.refreshed(session) == successor
    session.refresh_token = successor
    account, profile = session.account, await tester.profile(session)
    assert profile["phone"] == account.phone
    assert profile["invite_code"] == account.invite_code
    assert profile["activated_invite_code"] == account.inviter
    assert profile["invitee_count"] == invitees[account.invite_code]
