"""A real primary with a streaming standby: lists from the standby, and failovers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from clusters import Cluster, cluster
from failovers import Failover, Lost, crash_with_lagging_standby, fail_over, freeze_primary
from locks import wait_for_count
from processes import Server, serving
from referral.storage import database
from support import Person, Service, migrated, ok, refused, running

_REPLAYED = "SELECT count(*) FROM users"


@pytest.fixture
def pair() -> Iterator[Cluster]:
    with cluster() as started:
        yield started


@pytest.fixture
async def service(pair: Cluster) -> AsyncIterator[Service]:
    """A service that reads lists from the standby."""
    url = pair.url(lists=True)
    await migrated(url)
    async with running(url) as started:
        yield started


async def test_only_lists_come_from_the_standby(pair: Cluster, service: Service) -> None:
    inviter, key = await service.sign_in(), await service.api_key()
    async with replay_paused(pair, users=1):
        invitee = await service.sign_in()
        ok(await invitee.activate(await inviter.invite_code()))
        profile = await inviter.profile()
        assert (profile["invitees"], profile["invitee_count"]) == ([invitee.phone], 1)
        assert await lengths(inviter, key) == [0, 1, 0]
        assert ok(await key.call("GET", "/stats"))["totals"]["users"] == 1
        assert len(ok(await invitee.call("GET", "/sessions"))["items"]) == 1
        assert ok(await key.call("GET", f"/users/{invitee.id()}"))["phone"] == invitee.phone
        ok(await key.call("PATCH", f"/users/{invitee.id()}", json={"is_blocked": True}))
        refused(await invitee.call("GET", "/profile/invitees"), 401, "unauthorized")
    async with standby_with(pair, users=2):
        assert await lengths(inviter, key) == [1, 2, 1]


async def test_lists_come_from_the_primary_without_a_standby(
    pair: Cluster, service: Service
) -> None:
    inviter, key = await service.sign_in(), await service.api_key()
    ok(await (await service.sign_in()).activate(await inviter.invite_code()))
    async with standby_with(pair, users=2):
        assert await lengths(inviter, key) == [1, 2, 1]
    pair.standby.stop()
    # A request whose connection the standby has just closed may be refused
    await wait_until_served(inviter, "/profile/invitees")
    assert await lengths(inviter, key) == [1, 2, 1]


async def test_a_list_that_the_standby_cancels_is_unavailable(
    pair: Cluster, service: Service
) -> None:
    """It cancels a read that conflicts with changes of the primary."""
    await service.sign_in()
    pair.standby.configure(max_standby_streaming_delay="0")
    primary = await asyncpg.connect(pair.primary.url)
    try:
        async with standby_with(pair, users=1):
            with pytest.raises(database.Unavailable, match="conflict with recovery"):
                await read_while_locked(primary)
    finally:
        await primary.close()


async def test_a_wrong_value_of_lists_is_refused() -> None:
    with pytest.raises(database.SetupError, match="check how it is written"):
        await database.connect("postgres://postgres@127.0.0.1/postgres?lists=primary")


async def test_a_synchronous_standby_loses_nothing(tmp_path: Path) -> None:
    with cluster(synchronous=True) as pair, served(pair, tmp_path) as server:
        seen = await fail_over(pair, server, crash_with_lagging_standby)
    assert seen.lost == Lost(0, 0, 0)
    assert_only_unavailable(seen)
    assert seen.after_promotion < 5


@pytest.mark.long
async def test_a_frozen_primary_is_replaced(tmp_path: Path) -> None:
    """Connections to it time out instead of being refused, as with a machine that is gone."""
    with cluster(synchronous=True) as pair, served(pair, tmp_path) as server:
        seen = await fail_over(pair, server, freeze_primary)
    assert seen.lost == Lost(0, 0, 0)
    assert_only_unavailable(seen)
    assert seen.gap < 25


@pytest.mark.long
async def test_a_lagging_standby_only_ends_sessions(tmp_path: Path) -> None:
    with cluster() as pair, served(pair, tmp_path) as server:
        seen = await fail_over(pair, server, crash_with_lagging_standby)
    assert seen.lost.sign_ups > 0, "the standby did not lag, so this proves nothing"
    seen.refusals.pop((401, "invalid_refresh_token", False), None)
    assert_only_unavailable(seen)


def assert_only_unavailable(seen: Failover) -> None:
    """Assert that all refusals were 503 with Retry-After."""
    assert set(seen.refusals) == {(503, "storage_unavailable", True)}


def served(pair: Cluster, folder: Path) -> AbstractContextManager[Server]:
    """Serve with limits that do not matter, because all these users have one address."""
    return serving(
        folder,
        DATABASE_URL=pair.url(lists=True),
        REFERRAL_SENDS_PER_ADDRESS_HOUR="100000",
        REFERRAL_SENDS_PER_DAY="1000000",
    )


async def lengths(inviter: Person, key: Person) -> list[int]:
    """Return the lengths of three lists: the inviter's invitees, all users, and the invitees as
    administrators see them.
    """
    calls = (
        (inviter, "/profile/invitees"),
        (key, "/users"),
        (key, f"/users/{inviter.id()}/invitees"),
    )
    return [len(ok(await caller.call("GET", path))["items"]) for caller, path in calls]


async def wait_until_served(person: Person, path: str) -> None:
    """Repeat a request as Retry-After says until it succeeds."""
    async with asyncio.timeout(10):
        while (response := await person.call("GET", path)).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(int(response.headers["retry-after"]))
    ok(response)


async def read_while_locked(primary: asyncpg.Connection) -> None:
    reading = asyncio.create_task(database.query_replica("SELECT pg_sleep(8) FROM users"))
    await asyncio.sleep(0.3)
    await primary.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; COMMIT")
    await reading


@asynccontextmanager
async def replay_paused(pair: Cluster, *, users: int) -> AsyncIterator[None]:
    """Wait until the standby has this many users, and pause its replay during the block."""
    async with standby_with(pair, users=users) as standby:
        await standby.execute("SELECT pg_wal_replay_pause()")
        yield
        await standby.execute("SELECT pg_wal_replay_resume()")


@asynccontextmanager
async def standby_with(pair: Cluster, *, users: int) -> AsyncIterator[asyncpg.Connection]:
    """Wait until the standby has this many users, and yield a connection to it."""
    standby = await asyncpg.connect(pair.standby.url)
    try:
        await wait_for_count(standby, _REPLAYED, users)
        yield standby
    finally:
        await standby.close()
