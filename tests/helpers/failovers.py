"""A primary that is lost under load: what clients saw, and what the new one knows of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from time import monotonic
from typing import Any

import asyncpg
import httpx

from clusters import Cluster
from processes import Server
from support import Clock, Inbox, Person, Service, new_phone, ok

CLIENTS = 8
# How long it takes to notice that a primary is gone; who notices waits for longer
NOTICED_SECONDS = 1.0
_PAUSE = 0.05

# What may follow a 503 where only the answer was lost: a new code is the way on
_AFTER_503 = {"challenge_spent", "too_many_attempts"}


@dataclass
class Ledger:
    """What was answered, and when. refusals: (status, code, Retry-After) of all others.

    refresh_tokens: the last acknowledged of each phone. signed_out: acknowledged as over.
    """

    signed_in: dict[str, float] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    signed_out: dict[str, str] = field(default_factory=dict)
    successes: list[float] = field(default_factory=list)
    refusals: Counter[tuple[int, str, bool]] = field(default_factory=Counter)
    slowest: float = 0.0


@dataclass(frozen=True)
class Lost:
    """How many of what had been acknowledged."""

    sign_ups: int
    refreshes: int
    sign_outs: int


@dataclass(frozen=True)
class Failover:
    """In seconds: without any success, from the promotion to the first, the longest answer."""

    gap: float
    after_promotion: float
    slowest: float
    acknowledged: int
    refusals: Counter[tuple[int, str, bool]]
    lost: Lost


async def fail_over(
    cluster: Cluster, server: Server, lose: Callable[[Cluster], Awaitable[None]]
) -> Failover:
    """Lose the primary under load, promote the standby, compare with what was acknowledged."""
    ledger = Ledger()
    async with asyncio.TaskGroup() as group:
        stopping = asyncio.Event()
        for _ in range(CLIENTS):
            group.create_task(client(server, ledger, stopping))
        await _until(lambda: len(ledger.signed_in) >= 10 * CLIENTS)
        await lose(cluster)
        await asyncio.sleep(NOTICED_SECONDS)
        await asyncio.to_thread(cluster.standby.promote)
        promoted = monotonic()
        await _until(lambda: _successes_after(ledger, promoted) >= 10 * CLIENTS)
        stopping.set()
    first = next(at for at in ledger.successes if at >= promoted)
    return Failover(
        gap=max(later - earlier for earlier, later in pairwise(ledger.successes)),
        after_promotion=first - promoted,
        slowest=ledger.slowest,
        acknowledged=len(ledger.successes),
        refusals=ledger.refusals,
        lost=await _lost(cluster, server, ledger),
    )


async def crash(cluster: Cluster) -> None:
    cluster.primary.crash()


async def crash_with_a_standby_behind(cluster: Cluster) -> None:
    """As where the network between the two is slow: a second of answers has not arrived."""
    with cluster.primary.sending_stopped():
        await asyncio.sleep(1)
        cluster.primary.crash()


async def fall_silent(cluster: Cluster) -> None:
    cluster.primary.fall_silent()


async def client(server: Server, ledger: Ledger, stopping: asyncio.Event) -> None:
    """Somebody who signs in, refreshes and signs out until it stops."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        number = 0
        while not stopping.is_set():
            person = await _sign_in(http, ledger)
            number += 1
            if not await _go_on(http, ledger, person):
                continue
            if number % 3 == 0:
                # Taken out before: an answer that is lost says nothing of what was done
                token = ledger.refresh_tokens.pop(person.phone)
                await _insist(http, ledger, "/auth/logout", {"refresh_token": token})
                ledger.signed_out[person.phone] = token


async def _go_on(http: httpx.AsyncClient, ledger: Ledger, person: Person) -> bool:
    """Refresh twice; False where the session is unknown."""
    for _ in range(2):
        body = {"refresh_token": person.tokens["refresh_token"]}
        response = await _insist(http, ledger, "/auth/refresh", body)
        if not response.is_success:
            return False
        person.tokens |= ok(response)
        ledger.refresh_tokens[person.phone] = person.tokens["refresh_token"]
    return True


async def _sign_in(http: httpx.AsyncClient, ledger: Ledger) -> Person:
    """With a new code where the answer to the last one was lost."""
    phone = new_phone()
    while True:
        sent = ok(await _insist(http, ledger, "/auth/send-code", {"phone": phone}))
        body = {"token": sent["token"], "code": sent["code"]}
        response = await _insist(http, ledger, "/auth/verify", body)
        if response.is_success:
            ledger.signed_in[phone] = monotonic()
            return Person(http, phone, ok(response), is_new=response.status_code == 201)


async def _insist(
    http: httpx.AsyncClient, ledger: Ledger, path: str, body: dict[str, Any]
) -> httpx.Response:
    """Repeat what is answered 503, sooner than it says: to see when it ends."""
    was_refused = False
    while True:
        began = monotonic()
        response = await http.post(f"/api/v1{path}", json=body)
        ledger.slowest = max(ledger.slowest, monotonic() - began)
        if response.is_success:
            ledger.successes.append(monotonic())
            return response
        code = response.json()["code"]
        if was_refused and code in _AFTER_503:
            return response
        ledger.refusals[response.status_code, code, "retry-after" in response.headers] += 1
        if response.status_code != 503:
            return response
        was_refused = True
        await asyncio.sleep(_PAUSE)


async def _lost(cluster: Cluster, server: Server, ledger: Ledger) -> Lost:
    connection = await asyncpg.connect(cluster.standby.url)
    try:
        phones = {row["phone"] for row in await connection.fetch("SELECT phone FROM users")}
    finally:
        await connection.close()
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        service = Service(http, Clock(), Inbox())

        async def count(tokens: dict[str, str], status: int) -> int:
            """How many are not answered so."""
            number = 0
            for phone, token in tokens.items():
                if phone in phones:
                    response = await service.post("/auth/refresh", refresh_token=token)
                    number += response.status_code != status
            return number

        return Lost(
            sign_ups=len(ledger.signed_in.keys() - phones),
            refreshes=await count(ledger.refresh_tokens, 200),
            sign_outs=await count(ledger.signed_out, 401),
        )


def _successes_after(ledger: Ledger, moment: float) -> int:
    return sum(at >= moment for at in ledger.successes)


async def _until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not done():  # noqa: ASYNC110 - what other tasks write down
            await asyncio.sleep(0.05)
