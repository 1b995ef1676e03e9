"""A real primary with a streaming standby: lists from there, and what becomes of its failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from test_faults_postgres import until_in

from clusters import Cluster, cluster
from failovers import Failover, Lost, crash_with_a_standby_behind, fail_over, fall_silent
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
    """With its lists from the standby."""
    url = pair.url(lists=True)
    await migrated(url)
    async with running(url) as started:
        yield started


async def test_lists_come_from_the_standby_and_all_else_from_the_primary(
    pair: Cluster, service: Service
) -> None:
    inviter, key = await service.sign_in(), await service.api_key()
    async with standing_still(pair, users=1):
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
    async with following(pair, users=2):
        assert await lengths(inviter, key) == [1, 2, 1]


async def test_lists_come_from_the_primary_while_there_is_no_standby(
    pair: Cluster, service: Service
) -> None:
    inviter, key = await service.sign_in(), await service.api_key()
    ok(await (await service.sign_in()).activate(await inviter.invite_code()))
    async with following(pair, users=2):
        assert await lengths(inviter, key) == [1, 2, 1]
    pair.standby.stop()
    # One whose connection the standby has just cut may be told to repeat its call
    await until_served(inviter, "/profile/invitees")
    assert await lengths(inviter, key) == [1, 2, 1]


async def test_a_list_that_the_standby_cannot_finish_may_be_asked_for_again(
    pair: Cluster, service: Service
) -> None:
    """It ends a read that stands in the way of what its primary did."""
    await service.sign_in()
    pair.standby.configure(max_standby_streaming_delay="0")
    primary = await asyncpg.connect(pair.primary.url)
    try:
        async with following(pair, users=1):
            with pytest.raises(database.Unavailable, match="conflict with recovery"):
                await read_while_locked(primary)
    finally:
        await primary.close()


async def test_a_wrong_word_about_lists_stops_the_start() -> None:
    with pytest.raises(database.Unusable, match="check how it is written"):
        await database.connect("postgres://postgres@127.0.0.1/postgres?lists=primary")


async def test_nothing_acknowledged_is_lost_with_a_synchronous_standby(tmp_path: Path) -> None:
    with cluster(synchronous=True) as pair, served(pair, tmp_path) as server:
        seen = await fail_over(pair, server, crash_with_a_standby_behind)
    assert seen.lost == Lost(0, 0, 0)
    assert_refused_as_promised(seen)
    assert seen.after_promotion < 5


@pytest.mark.long
async def test_a_primary_that_falls_silent_is_left_once_another_is_there(tmp_path: Path) -> None:
    """Nothing refuses a connection to a machine that is gone."""
    with cluster(synchronous=True) as pair, served(pair, tmp_path) as server:
        seen = await fail_over(pair, server, fall_silent)
    assert seen.lost == Lost(0, 0, 0)
    assert_refused_as_promised(seen)
    assert seen.gap < 25


@pytest.mark.long
async def test_a_standby_that_was_behind_ends_sessions_and_nothing_worse(tmp_path: Path) -> None:
    with cluster() as pair, served(pair, tmp_path) as server:
        seen = await fail_over(pair, server, crash_with_a_standby_behind)
    assert seen.lost.sign_ups > 0, "it was not behind: this proves nothing"
    seen.refusals.pop((401, "invalid_refresh_token", False), None)
    assert_refused_as_promised(seen)


def assert_refused_as_promised(seen: Failover) -> None:
    """503 with Retry-After, and nothing else."""
    assert set(seen.refusals) == {(503, "storage_unavailable", True)}


def served(pair: Cluster, folder: Path) -> AbstractContextManager[Server]:
    """The caps out of the way: all these people have one address."""
    return serving(
        folder,
        DATABASE_URL=pair.url(lists=True),
        REFERRAL_SENDS_PER_ADDRESS_HOUR="100000",
        REFERRAL_SENDS_PER_DAY="1000000",
    )


async def lengths(inviter: Person, key: Person) -> list[int]:
    """Of the inviter's own list, of all users, and of the inviter's as administrators see it."""
    calls = (
        (inviter, "/profile/invitees"),
        (key, "/users"),
        (key, f"/users/{inviter.id()}/invitees"),
    )
    return [len(ok(await who.call("GET", path))["items"]) for who, path in calls]


async def until_served(who: Person, path: str) -> None:
    """Repeat a call that is told to."""
    async with asyncio.timeout(10):
        while (answer := await who.call("GET", path)).status_code == 503:  # noqa: ASYNC110 - as told
            await asyncio.sleep(int(answer.headers["retry-after"]))
    ok(answer)


async def read_while_locked(primary: asyncpg.Connection) -> None:
    reading = asyncio.create_task(database.query_replica("SELECT pg_sleep(8) FROM users"))
    await asyncio.sleep(0.3)
    await primary.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; COMMIT")
    await reading


@asynccontextmanager
async def standing_still(pair: Cluster, *, users: int) -> AsyncIterator[None]:
    """The standby has so many users, and gets no further until the block ends."""
    async with following(pair, users=users) as standby:
        await standby.execute("SELECT pg_wal_replay_pause()")
        yield
        await standby.execute("SELECT pg_wal_replay_resume()")


@asynccontextmanager
async def following(pair: Cluster, *, users: int) -> AsyncIterator[asyncpg.Connection]:
    """The standby has so many users by now."""
    standby = await asyncpg.connect(pair.standby.url)
    try:
        await until_in(standby, _REPLAYED, users)
        yield standby
    finally:
        await standby.close()
