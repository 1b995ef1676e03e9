"""Workers and PostgreSQL are killed while 16 clients post, reverse and redeem.

Clients repeat each request until there is a response. So everything that got one is in the ledger
once, and repeats get the same entries.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from clusters import postgres
from killing import kill
from ledger_checks import assert_ledger_consistent, fetch
from parallel_requests import client
from processes import Server, done, new_database, referral, serving
from racing import SETTINGS
from rewards import Shop
from support import Clock, Inbox, Person, Service

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc"),
]

CLIENTS = 16
KILLS = 12
CRASHES = 3
RESPONSE_SECONDS = 30
_LOST = (httpx.ReadError, httpx.WriteError, httpx.ConnectError, httpx.RemoteProtocolError)


async def test_killed_workers_lose_and_repeat_no_reward(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = await new_database(database_kind, tmp_path, request)
    with serving(tmp_path, DATABASE_URL=url, **SETTINGS) as server:
        async with opened(server, tmp_path, url) as load:
            async with load.running():
                await kill(server, KILLS, Random(5))  # noqa: S311 - a seed
            await load.assert_kept(url)


async def test_a_postgres_that_crashes_loses_and_repeats_no_reward(tmp_path: Path) -> None:
    """All its processes are killed, and it starts again a second later, three times."""
    with postgres() as node, serving(tmp_path, DATABASE_URL=node.url, **SETTINGS) as server:
        async with opened(server, tmp_path, node.url) as load:
            async with load.running():
                for _ in range(CRASHES):
                    await asyncio.to_thread(node.crash)
                    await asyncio.sleep(1)
                    await asyncio.to_thread(node.start)
                    await load.wait_for_more()
            await load.assert_kept(node.url)


@dataclass
class Load:
    """Clients of a shop, and what the service confirmed to them.

    events, reversals, redemptions, returns: the ids of the entries, by that of the event or the
    redemption. unanswered: how many requests of each kind got no response.
    """

    shop: Shop
    inviters: list[Person]
    invitees: list[Person]
    events: dict[str, list[str]] = field(default_factory=dict)
    reversals: dict[str, list[str]] = field(default_factory=dict)
    redemptions: dict[str, list[str]] = field(default_factory=dict)
    returns: dict[str, list[str]] = field(default_factory=dict)
    buyers: dict[str, Person] = field(default_factory=dict)
    unanswered: Counter[str] = field(default_factory=Counter)
    numbers: count[int] = field(default_factory=count)
    is_over: bool = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run clients until the block ends, and each until it has the response it waits for."""
        async with asyncio.TaskGroup() as group:
            for seed in range(CLIENTS):
                group.create_task(self.run_client(seed))
            await self.wait_for_more()
            yield
            self.is_over = True

    async def run_client(self, seed: int) -> None:
        random = Random(seed)  # noqa: S311 - the same order each time
        await self.post(random)
        while not self.is_over:
            action = random.choice(
                (self.post, self.post, self.reverse, self.redeem, self.take_back)
            )
            await action(random)

    async def post(self, random: Random) -> None:
        """Post a new event; sometimes two copies at once."""
        event_id = f"order-{next(self.numbers)}"
        self.buyers[event_id] = random.choice(self.invitees)
        copies = random.choice((1, 1, 2))
        found = await asyncio.gather(*(self.post_event(event_id) for _ in range(copies)))
        assert all(each == found[0] for each in found)
        self.events[event_id] = found[0]

    async def reverse(self, random: Random) -> None:
        event_id = random.choice(list(self.events))
        self.reversals[event_id] = await self.reverse_event(event_id)

    async def redeem(self, random: Random) -> None:
        redemption_id = f"redemption-{next(self.numbers)}"
        self.buyers[redemption_id] = random.choice(self.inviters)
        if found := await self.redeem_once(redemption_id):
            self.redemptions[redemption_id] = found

    async def take_back(self, random: Random) -> None:
        """Reverse a redemption."""
        if self.redemptions:
            redemption_id = random.choice(list(self.redemptions))
            self.returns[redemption_id] = await self.reverse_redemption(redemption_id)

    async def post_event(self, event_id: str) -> list[str]:
        buyer = self.buyers[event_id]
        return await self._entries("post", lambda: self.shop.post_event(event_id, buyer))

    async def reverse_event(self, event_id: str) -> list[str]:
        path = f"/events/{event_id}*/reverse"
        return await self._entries("reverse", lambda: self.shop.call("POST", path, json={}))

    async def redeem_once(self, redemption_id: str) -> list[str]:
        """Return nothing if it was refused, or reversed since."""
        buyer = self.buyers[redemption_id]
        return await self._entries("redeem", lambda: self.shop.redeem(redemption_id, buyer))

    async def reverse_redemption(self, redemption_id: str) -> list[str]:
        path = f"/redemptions/{redemption_id}*/reverse"
        return await self._entries("take back", lambda: self.shop.call("POST", path))

    async def wait_for_more(self) -> None:
        """Wait until the clients have got some more responses."""
        before = len(self.events)
        async with asyncio.timeout(RESPONSE_SECONDS):
            while len(self.events) < before + 2 * CLIENTS:  # noqa: ASYNC110 - other tasks
                await asyncio.sleep(0.05)

    async def assert_kept(self, database_url: str) -> None:
        """Check that everything confirmed is in the ledger once, and that repeats agree."""
        for kind in ("post", "reverse", "redeem"):
            assert self.unanswered[kind] > 0, "none was interrupted, so nothing is proven"
        await assert_ledger_consistent(database_url)
        tag = self.shop.tag
        for table, confirmed in (("reward_events", self.events), ("redemptions", self.redemptions)):
            rows = await fetch(database_url, f"SELECT id FROM {table}")  # noqa: S608 - our names
            stored = Counter(row["id"].removesuffix(tag) for row in rows)
            assert stored == Counter(confirmed.keys())
        for repeat, confirmed in (
            (self.post_event, self.events),
            (self.reverse_event, self.reversals),
            (self.reverse_redemption, self.returns),
        ):
            for each, ids in confirmed.items():
                assert await repeat(each) == ids
        for each in self.redemptions.keys() - self.returns.keys():
            assert await self.redeem_once(each) == self.redemptions[each]
        await assert_ledger_consistent(database_url)

    async def _entries(self, kind: str, call: Callable[[], Awaitable[httpx.Response]]) -> list[str]:
        """Repeat a request until there is a response; return the ids of its entries."""
        async with asyncio.timeout(RESPONSE_SECONDS):
            while (response := await self._once(kind, call)) is None:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.1)
        if response.status_code == 409:
            assert response.json()["code"] in {"insufficient_balance", "redemption_conflict"}
            return []
        assert response.is_success, response.text
        body: dict[str, Any] = response.json()
        return [each["id"] for each in body.get("rewards", [body])]

    async def _once(
        self, kind: str, call: Callable[[], Awaitable[httpx.Response]]
    ) -> httpx.Response | None:
        """Return the response, or None if there was none, or 503."""
        try:
            response = await call()
        except _LOST:
            self.unanswered[kind] += 1
            return None
        if response.status_code == 503:
            self.unanswered[kind] += 1
            return None
        return response


@asynccontextmanager
async def opened(server: Server, folder: Path, database_url: str) -> AsyncIterator[Load]:
    """Open a shop with rules, whose users are signed up."""
    key = done(referral(folder, "key", "new", "shop", DATABASE_URL=database_url)).split()[0]
    async with client(server) as http:
        backend = Person(http, "", {"access_token": key}, is_new=False)
        shop = Shop(Service(http, Clock(), Inbox()), backend)
        await shop.rule()
        await shop.rule("first", occurs="first", beneficiary="invitee", amount=5, hold_days=1)
        await shop.rule("pairs", occurs={"each": 2}, amount=50, cap_total=150)
        inviters = [await shop.service.sign_in() for _ in range(3)]
        invitees = [(await shop.invite(inviter))[1] for inviter in inviters for _ in range(6)]
        yield Load(shop, inviters, invitees)
