"""Queries for the sums of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from referral.core.days import Days
from referral.rewards import status_sql
from referral.storage import database, dialect
from referral.storage.database import Row

# The entries of each column. $1: now
_CONDITIONS = {
    "earned": "kind = 'earned'",
    "available": status_sql.condition("available", now="$1"),
    "pending": status_sql.condition("pending", now="$1"),
    "in_review": status_sql.condition("in_review", now="$1"),
    "reversed": "kind = 'earned' AND reversed_at IS NOT NULL",
    "rejected": status_sql.condition("rejected", now="$1"),
    "redeemed": status_sql.condition("redeemed", now="$1"),
}
_SUMS = ", ".join(
    f"CAST(sum(CASE WHEN {condition} THEN abs(amount) ELSE 0 END) AS BIGINT) AS {name}"
    for name, condition in _CONDITIONS.items()
)
_ENTRIES = "FROM reward_entries WHERE kind IN ('earned', 'redemption')"


async def by_unit(*, now: datetime) -> Sequence[Row]:
    """Return the sums of all entries, by unit. It reads the whole ledger."""
    sql = f"SELECT unit, {_SUMS} {_ENTRIES} GROUP BY unit ORDER BY unit"
    return await database.query_replica(sql, now)


async def by_day(days: Days, *, now: datetime) -> Sequence[Row]:
    """Return the sums of the entries of these days, by the day (UTC), rule and unit."""
    day = dialect.utc_day("created_at")
    sql = f"""
        SELECT {day} AS day, rule, unit, {_SUMS} {_ENTRIES} AND created_at BETWEEN $2 AND $3
        GROUP BY 1, 2, 3
    """
    return await database.query_replica(sql, now, days.start, days.end)
