"""Lists read from a standby: what they cost on which server, and how far they lag."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from uuid import UUID

import httpx
import psutil  # type: ignore[import-untyped]  # it ships no types

from clusters import Cluster, Node, cluster
from failovers import CLIENTS, Ledger, client
from processes import Server, serving
from referral.storage import database, invitations, user_lists
from referral.storage.user_lists import Selection
from scaling import rows, tables
from scaling.failover import SETTINGS
from support import Clock, Inbox, Service, migrated, ok

USERS = 200_000
LISTS = 2000
WRITES = 50
# md5('2'), one of the inviters in rows.py
_INVITER = UUID("c81e728d-9d4c-2f63-6f06-7f89cc14862c")


async def main() -> None:
    with TemporaryDirectory() as folder, cluster() as pair:
        await migrated(pair.primary.url)
        await rows.fill(pair.primary.url, USERS, sessions=False, counters=False)
        tables.show(
            f"Lists of 100, {USERS:,} users: processor time a list",
            ["lists come from", "of the primary, ms", "of the standby, ms"],
            [
                await _measure_cost(pair, "the primary", lists=False),
                await _measure_cost(pair, "the standby", lists=True),
            ],
        )
        tables.show(
            f"From the response to an activation until the inviter's list has it, {WRITES} times",
            ["load", "in the first read", "median, ms", "p95, ms", "longest, ms"],
            [
                await _measure_lag(Path(folder), pair, "nothing", busy=False),
                await _measure_lag(Path(folder), pair, f"{CLIENTS} clients who sign in", busy=True),
            ],
        )


async def _measure_cost(pair: Cluster, name: str, *, lists: bool) -> list[str]:
    nodes = pair.primary, pair.standby
    await database.connect(pair.url(lists=lists))
    before = [_cpu_seconds(node) for node in nodes]
    for _ in range(LISTS // 2):
        assert len(await user_lists.page(Selection(), after=None, limit=100)) == 100  # noqa: PLR2004
        assert await invitations.page(_INVITER, after=None, limit=100)
    after = [_cpu_seconds(node) for node in nodes]
    await database.disconnect()
    return [name, *(f"{(b - a) / LISTS * 1000:.2f}" for a, b in zip(before, after, strict=True))]


async def _measure_lag(folder: Path, pair: Cluster, name: str, *, busy: bool) -> list[str]:
    lags, immediate = [], 0
    with serving(folder, DATABASE_URL=pair.url(lists=True), **SETTINGS) as server:
        async with (
            httpx.AsyncClient(base_url=server.url, timeout=60) as http,
            _load(server, clients=CLIENTS if busy else 0),
        ):
            service = Service(http, Clock(), Inbox())
            for _ in range(WRITES):
                inviter, invitee = await service.sign_in(), await service.sign_in()
                ok(await invitee.activate(await inviter.invite_code()))
                began, reads = monotonic(), 0
                while True:
                    read_at = monotonic()
                    page = ok(await inviter.call("GET", "/profile/invitees"))
                    reads += 1
                    if page["items"]:
                        break
                immediate += reads == 1
                lags.append((read_at - began) * 1000 if reads > 1 else 0.0)
    lags.sort()
    times = statistics.median(lags), lags[len(lags) * 19 // 20], lags[-1]
    return [name, f"{immediate} of {WRITES}", *(f"{each:.0f}" for each in times)]


@asynccontextmanager
async def _load(server: Server, *, clients: int) -> AsyncIterator[None]:
    ledger, stopping = Ledger(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client(server, ledger, stopping))
        await asyncio.sleep(1)
        yield
        stopping.set()


def _cpu_seconds(node: Node) -> float:
    """Return a server's CPU seconds so far. Those of ended processes count for their parent."""
    assert node.process is not None
    postmaster = psutil.Process(node.process.pid)
    total = 0.0
    for process in (postmaster, *postmaster.children()):
        times = process.cpu_times()
        total += times.user + times.system
    own = postmaster.cpu_times()
    return total + float(own.children_user + own.children_system)
