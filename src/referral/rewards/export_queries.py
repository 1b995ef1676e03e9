"""Queries that read the whole ledger, oldest first, a batch at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from uuid import UUID

from referral.core.reward_status import Kind
from referral.rewards import list_queries
from referral.storage import database, dialect
from referral.storage.models import RewardEntry

_BATCH = f"""
    {list_queries.ENTRIES} AND (created_at, reward_entries.id) > ($1, $2) AND created_at < $3
    ORDER BY created_at, reward_entries.id LIMIT $4
"""
_FIRST_DAYS = """
    SELECT CAST(user_id AS TEXT) AS user_id, min(created_at) AS created_at FROM reward_entries
    WHERE kind <> 'capped' AND reward_entries.user_id > $1 AND created_at >= $2 AND created_at < $3
    GROUP BY reward_entries.user_id ORDER BY reward_entries.user_id LIMIT $4
"""
_NIL = UUID(int=0)


async def batches(*, start: datetime, end: datetime, size: int) -> AsyncIterator[list[RewardEntry]]:
    """Read the entries made from the start on and before the end, each batch with a query."""
    at, last_id = start, _NIL
    while rows := await database.query(_BATCH, at, last_id, end, size):
        entries = [list_queries.entry(row) for row in dialect.decode_rows(rows)]
        yield entries
        at, last_id = entries[-1].created_at, entries[-1].id


async def reversed_by(entries: Iterable[RewardEntry]) -> dict[UUID, RewardEntry]:
    """Return the earned entries that some of these entries reverse, by id."""
    ids = [each.reverses_id for each in entries if each.kind == Kind.REVERSAL]
    rows = await RewardEntry.filter(id__in=ids) if ids else []
    return {row.id: row for row in rows}


async def first_entries(
    *, start: datetime, end: datetime, size: int
) -> AsyncIterator[list[tuple[UUID, datetime]]]:
    """Read who has entries made in this time, and the time of each one's first of them."""
    last_id = _NIL
    while rows := await database.query(_FIRST_DAYS, last_id, start, end, size):
        found = [(UUID(row["user_id"]), row["created_at"]) for row in dialect.decode_rows(rows)]
        yield found
        last_id = found[-1][0]
