"""Queries about a user's rewards read few rows, however many entries the user has."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from referral.core.reward_status import Kind
from referral.rewards import entry_queries
from referral.storage import database
from referral.storage.models import RewardEntry
from support import Service

ENTRIES = 5000
PAST = datetime(2026, 1, 1, tzinfo=UTC)
USER = UUID("9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f")


async def test_balances_read_only_what_is_pending(service: Service) -> None:
    """Not every entry that was ever available."""
    now = service.clock()
    await RewardEntry.bulk_create(
        RewardEntry(
            id=uuid4(),
            kind=Kind.EARNED,
            user_id=USER,
            unit="points",
            amount=1,
            cause="order",
            created_at=PAST,
            available_at=PAST,
        )
        for _ in range(ENTRIES)
    )
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


async def explain(sql: str, *values: object) -> list[dict[str, object]]:
    if database.is_postgres():
        await database.query("ANALYZE reward_entries")
        return await database.query(f"EXPLAIN {sql}", *values)
    return await database.query(f"EXPLAIN QUERY PLAN {sql}", *values)
