"""Queries about a user's rewards read few rows, however many entries the user has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from referral.core.reward_status import Kind
from referral.rewards import entry_queries, overview, overview_queries
from referral.storage import database, dialect
from referral.storage.models import RewardEntry
from support import Service

ENTRIES = 5000
PAST = datetime(2026, 1, 1, tzinfo=UTC)
USER = UUID("9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f")


async def test_balances_read_only_what_is_pending(service: Service) -> None:
    """Not every entry that was ever available."""
    now = service.clock()
    await add_entries(about=[None] * ENTRIES, amount=1)
    await entry_queries.add_to_balances({(USER, "points"): ENTRIES})
    try:
        (balance,) = await entry_queries.balances(USER, now=now)
        assert (balance.available, balance.pending) == (ENTRIES, 0)
        plan = str(await explain(entry_queries.BALANCES, USER, now))
    finally:
        await RewardEntry.filter(user_id=USER).delete()
        await database.query("DELETE FROM reward_balances WHERE user_id = $1", USER)
    assert "reward_entries_by_hold" in plan
    assert "available_at >" in plan or "available_at>" in plan


async def add_entries(*, about: Sequence[UUID | None], amount: int) -> None:
    """Add an entry that is available about each of these users."""
    await RewardEntry.bulk_create(
        RewardEntry(
            id=uuid4(),
            kind=Kind.EARNED,
            user_id=USER,
            unit="points",
            amount=amount,
            cause="order",
            created_at=PAST,
            available_at=PAST,
            about_user_id=each,
        )
        for each in about
    )


async def explain(sql: str, *values: object) -> list[dict[str, object]]:
    if database.is_postgres():
        await database.query("ANALYZE reward_entries")
        return await database.query(f"EXPLAIN {sql}", *values)
    return await database.query(f"EXPLAIN QUERY PLAN {sql}", *values)


async def test_what_friends_earned_reads_their_entries_only(service: Service) -> None:
    """Not the inviter's, however many there are."""
    now, friends = service.clock(), [uuid4() for _ in range(3)]
    await add_entries(about=[*friends, *(uuid4() for _ in range(ENTRIES - 3))], amount=2)
    try:
        found = await overview.earned_by(USER, friends, now=now)
        assert {key: [each.available for each in sums] for key, sums in found.items()} == (
            {key: [2] for key in friends}
        )
        assert await overview.earned_by(uuid4(), friends, now=now) == {}
        sql = overview_queries.EARNED_BY.format(marks=dialect.placeholders(3, first=3))
        plan = str(await explain(sql, USER, now, *friends))
    finally:
        await RewardEntry.filter(user_id=USER).delete()
    assert "reward_entries_by_invitee" in plan
