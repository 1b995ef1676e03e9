"""The service behind a real PgBouncer in transaction mode, as docs/scaling.md configures it.

PgBouncer has fewer connections to PostgreSQL than the service has to PgBouncer, so that whatever a
transaction left on a connection would affect another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest

from clusters import Node, pgbouncer, postgres
from endpoint_server import SECRET as WEBHOOK_SECRET
from endpoint_server import endpoint_server
from locks import wait_for_count
from processes import referral, serving
from referral.storage import database, leases, migrate
from referral.storage.database import Lock
from support import (
    SECRET,
    Clock,
    Inbox,
    Service,
    emptied,
    new_phone,
    ok,
    refused,
    running,
    with_wrong_code,
)

PEOPLE = 12
CONNECTIONS = 4

_SLEEPING = """
    SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with postgres() as started:
        yield started


@pytest.fixture(scope="module")
async def pooled_url(node: Node) -> AsyncIterator[str]:
    """A database that was migrated through PgBouncer."""
    with pgbouncer(node.port, size=CONNECTIONS) as port:
        url = f"postgres://postgres@127.0.0.1:{port}/postgres?statement_cache_size=0"
        await database.connect(url)
        try:
            # Concurrently, as two releases may
            applied = await asyncio.gather(migrate.apply(), migrate.apply())
            assert sorted(map(bool, applied)) == [False, True]
            assert not await migrate.pending()
        finally:
            await database.disconnect()
        yield url


@pytest.fixture
async def pooled(pooled_url: str) -> AsyncIterator[Service]:
    await emptied(pooled_url)
    async with running(pooled_url) as service:
        yield service


async def test_all_that_users_and_administrators_do_works(pooled: Service) -> None:
    people = await asyncio.gather(*(pooled.sign_in() for _ in range(PEOPLE)))
    inviter, *invitees = people
    code = await inviter.invite_code()
    for response in await asyncio.gather(*(one.activate(code) for one in invitees)):
        ok(response)
    assert (await inviter.profile())["invitee_count"] == PEOPLE - 1
    refused(await inviter.activate(await invitees[0].invite_code()), 409, "invite_loop")

    for _ in range(3):
        for person, response in zip(
            people, await asyncio.gather(*(one.refresh() for one in people)), strict=True
        ):
            person.tokens |= ok(response)
    listed = [ok(await one.call("GET", "/sessions"))["items"] for one in people]
    assert [len(sessions) for sessions in listed] == [1] * PEOPLE

    key = await pooled.api_key()
    pages = await asyncio.gather(
        *(key.call("GET", "/users?limit=5") for _ in range(PEOPLE)),
        *(key.call("GET", f"/users/{inviter.id()}/invitees") for _ in range(PEOPLE)),
        *(key.call("GET", f"/users?search=%2B{inviter.phone[1:]}") for _ in range(PEOPLE)),
        key.call("GET", "/audit"),
    )
    assert [len(ok(page)["items"]) for page in pages[:-1]] == (
        [5] * PEOPLE + [PEOPLE - 1] * PEOPLE + [1] * PEOPLE
    )
    assert ok(await key.call("GET", "/stats"))["totals"]["activations"] == PEOPLE - 1
    ok(await key.call("PATCH", f"/users/{inviter.id()}", json={"is_blocked": True}))
    refused(await inviter.call("GET", "/profile"), 401, "unauthorized")
    ok(await key.call("DELETE", f"/users/{invitees[0].id()}"))


async def test_concurrent_guesses_are_counted(pooled: Service) -> None:
    sent = await pooled.send_code(new_phone())
    wrong = with_wrong_code(sent)
    responses = await asyncio.gather(*(pooled.verify(wrong) for _ in range(PEOPLE)))
    codes = [response.json()["code"] for response in responses]
    assert codes.count("wrong_code") == 3
    assert codes.count("too_many_attempts") == PEOPLE - 3


async def test_an_advisory_lock_ends_with_its_transaction(pooled_url: str) -> None:
    holders = max_holders = 0

    async def work() -> None:
        nonlocal holders, max_holders
        await database.advisory_lock(Lock.ADMINS)
        holders += 1
        max_holders = max(max_holders, holders)
        await asyncio.sleep(0.02)
        holders -= 1

    await database.connect(pooled_url)
    try:
        await asyncio.gather(*(database.transaction(work) for _ in range(2 * CONNECTIONS)))
        held = await database.query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    finally:
        await database.disconnect()
    assert (max_holders, held) == (1, [{"count": 0}])


async def test_one_process_holds_a_lease(pooled: Service) -> None:
    now = pooled.clock()
    until = now + timedelta(minutes=1)
    taken = await asyncio.gather(
        *(leases.acquire("tests", uuid4(), now=now, until=until) for _ in range(PEOPLE))
    )
    assert taken.count(True) == 1


async def test_a_slow_statement_is_cancelled_in_postgresql(node: Node, pooled_url: str) -> None:
    """The time-out is the client's, not a setting of a connection that PgBouncer would lose."""
    await database.connect(pooled_url, statement_seconds=1)
    try:
        with pytest.raises(database.TimedOut):
            await database.query("SELECT pg_sleep(60)")
    finally:
        await database.disconnect()
    other = await asyncpg.connect(node.url)
    try:
        await wait_for_count(other, _SLEEPING, 0)
    finally:
        await other.close()


async def test_servers_and_commands_work_and_one_delivers(pooled_url: str, tmp_path: Path) -> None:
    """Two servers deliver each event once, and the commands work beside them."""
    await emptied(pooled_url)
    async with endpoint_server() as endpoint:
        settings = {
            "DATABASE_URL": pooled_url,
            "REFERRAL_SECRET": SECRET,
            "REFERRAL_WEBHOOK_URL": endpoint.url,
            "REFERRAL_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }
        with serving(tmp_path, **settings) as one, serving(tmp_path, **settings) as other:
            await asyncio.gather(sign_in_at(one.url), sign_in_at(other.url))
            await endpoint.wait_acknowledged(2 * PEOPLE)
            assert endpoint.overlapping == []
            assert len({each.id for each in endpoint.acknowledged}) == 2 * PEOPLE
            for command in (["doctor"], ["users", "list"], ["users", "export", "users.csv"]):
                done = referral(tmp_path, *command, **settings)
                assert done.returncode == 0, done.stderr
            done = referral(tmp_path, "users", "import", "users.csv", **settings)
            assert done.returncode == 0, done.stderr


async def sign_in_at(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        service = Service(http, Clock(), Inbox())
        for _ in range(PEOPLE):
            await service.sign_in()
