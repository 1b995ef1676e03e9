"""Failovers under load: what clients saw, and what the new primary has of it."""

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
from support import Clock, Inbox, Person, Service, eventually, new_phone, ok

CLIENTS = 8
# How long it takes to detect that the primary is gone. Real failover tools wait longer
DETECTION_SECONDS = 1.0
_PAUSE = 0.05

# What may follow a 503 if only the response was lost. The client then requests a new code
_AFTER_503 = {"challenge_spent", "too_many_attempts"}


@dataclass
class Ledger:
    """The responses that clients got.

    signed_in: times of the sign-ups by phone. refresh_tokens: the last token of each phone.
    signed_out: the tokens of ended sessions. successes: times. refusals: counts by status, code and
    whether there was a Retry-After. slowest: seconds.
    """

    signed_in: dict[str, float] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    signed_out: dict[str, str] = field(default_factory=dict)
    successes: list[float] = field(default_factory=list)
    refusals: Counter[tuple[int, str, bool]] = field(default_factory=Counter)
    slowest: float = 0.0


@dataclass(frozen=True)
class Lost:
    """How many acknowledged changes the new primary does not have."""

    sign_ups: int
    refreshes: int
    sign_outs: int


@dataclass(frozen=True)
class Failover:
    """The outcome of a failover.

    gap: the longest time without a success. after_promotion: from the promotion to the first
    success. slowest: the longest response. All in seconds.
    """

    gap: float
    after_promotion: float
    slowest: float
    acknowledged: int
    refusals: Counter[tuple[int, str, bool]]
    lost: Lost


async def fail_over(
    cluster: Cluster, server: Server, lose: Callable[[Cluster], Awaitable[None]]
) -> Failover:
    """Lose the primary under load, promote the standby, and compare it with the responses."""
    ledger = Ledger()
    async with asyncio.TaskGroup() as group:
        stopping = asyncio.Event()
        for _ in range(CLIENTS):
            group.create_task(client(server, ledger, stopping))
        await eventually(lambda: len(ledger.signed_in) >= 10 * CLIENTS, seconds=90)
        await lose(cluster)
        await asyncio.sleep(DETECTION_SECONDS)
        await asyncio.to_thread(cluster.standby.promote)
        promoted = monotonic()
        await eventually(lambda: _successes_after(ledger, promoted) >= 10 * CLIENTS, seconds=90)
        stopping.set()
    first = next(at for at in ledger.successes if at >= promoted)
    return Failover(
        gap=max(later - earlier for earlier, later in pairwise(ledger.successes)),
        after_promotion=first - promoted,
        slowest=ledger.slowest,
        acknowledged=len(ledger.successes),
        refusals=ledger.refusals,
        lost=await _count_lost(cluster, server, ledger),
    )


async def crash(cluster: Cluster) -> None:
    cluster.primary.crash()


async def crash_with_lagging_standby(cluster: Cluster) -> None:
    """Crash the primary while the standby lacks a second of its changes."""
    with cluster.primary.replication_paused():
        await asyncio.sleep(1)
        cluster.primary.crash()


async def freeze_primary(cluster: Cluster) -> None:
    cluster.primary.freeze()


async def client(server: Server, ledger: Ledger, stopping: asyncio.Event) -> None:
    """Sign in, refresh and sign out again and again until `stopping` is set."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        number = 0
        while not stopping.is_set():
            person = await _sign_in(http, ledger)
            number += 1
            if not await _refresh_twice(http, ledger, person):
                continue
            if number % 3 == 0:
                # Removed before, because after a lost response the outcome is unknown
                token = ledger.refresh_tokens.pop(person.phone)
                await _post_until_done(http, ledger, "/auth/logout", {"refresh_token": token})
                ledger.signed_out[person.phone] = token


async def _refresh_twice(http: httpx.AsyncClient, ledger: Ledger, person: Person) -> bool:
    """Refresh twice. Return False if the session is unknown."""
    for _ in range(2):
        body = {"refresh_token": person.tokens["refresh_token"]}
        response = await _post_until_done(http, ledger, "/auth/refresh", body)
        if not response.is_success:
            return False
        person.tokens |= ok(response)
        ledger.refresh_tokens[person.phone] = person.tokens["refresh_token"]
    return True


async def _sign_in(http: httpx.AsyncClient, ledger: Ledger) -> Person:
    """Sign in, with a new code if the response to the last one was lost."""
    phone = new_phone()
    while True:
        sent = ok(await _post_until_done(http, ledger, "/auth/send-code", {"phone": phone}))
        body = {"token": sent["token"], "code": sent["code"]}
        response = await _post_until_done(http, ledger, "/auth/verify", body)
        if response.is_success:
            ledger.signed_in[phone] = monotonic()
            return Person(http, phone, ok(response), is_new=response.status_code == 201)


async def _post_until_done(
    http: httpx.AsyncClient, ledger: Ledger, path: str, body: dict[str, Any]
) -> httpx.Response:
    """Repeat a request as long as the response is 503, sooner than Retry-After says."""
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


async def _count_lost(cluster: Cluster, server: Server, ledger: Ledger) -> Lost:
    connection = await asyncpg.connect(cluster.standby.url)
    try:
        phones = {row["phone"] for row in await connection.fetch("SELECT phone FROM users")}
    finally:
        await connection.close()
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        service = Service(http, Clock(), Inbox())

        async def count(tokens: dict[str, str], status: int) -> int:
            """Count the responses that have another status."""
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


def _successes_after(ledger: Ledger, time: float) -> int:
    return sum(at >= time for at in ledger.successes)
