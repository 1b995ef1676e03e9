"""Queries for lists of entries, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from referral.core.cursor import Cursor
from referral.core.reward_status import Status
from referral.rewards import status_sql
from referral.storage import columns, database, pagination
from referral.storage.models import RewardEntry

ENTRIES = f"SELECT {columns.select_list(RewardEntry)} FROM reward_entries WHERE kind <> 'capped'"  # noqa: S608 - our own names
"""SQL for all entries but those that only record what a cap prevented."""


async def page(
    *,
    after: Cursor | None,
    limit: int,
    now: datetime,
    user_id: UUID | None = None,
    status: Status | None = None,
    unit: str | None = None,
) -> tuple[Sequence[RewardEntry], str | None]:
    """Return a page of entries, and the cursor of the next one."""
    sql = ENTRIES
    values: list[object] = []
    if user_id is not None:
        values.append(user_id)
        sql += f" AND user_id = ${len(values)}"
    if unit is not None:
        values.append(unit)
        sql += f" AND unit = ${len(values)}"
    if status is not None:
        condition = status_sql.condition(status, now=f"${len(values) + 1}")
        sql += f" AND {condition}"
        if "$" in condition:
            values.append(now)
    rows, next_cursor = await pagination.paginate(
        sql,
        *values,
        by="reward_entries.created_at",
        after=after,
        limit=limit,
        query=database.query_replica,
    )
    return [entry(row) for row in rows], next_cursor


def entry(row: database.Row) -> RewardEntry:
    """Return the entry of a row that ENTRIES selects."""
    ids = ("id", "user_id", "reverses_id", "announcement_id", "about_user_id")
    return RewardEntry(
        **{**row, **{name: UUID(row[name]) for name in ids if row[name] is not None}}
    )
