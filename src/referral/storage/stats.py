"""Counts of users and of opens of their invite links.

Deleted users are in none of them except `deleted`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from referral.core.days import Days
from referral.storage import database, dialect

_TOTALS = """
    SELECT count(*) FILTER (WHERE deleted_at IS NULL) AS users,
           count(*) FILTER (WHERE deleted_at IS NULL AND is_blocked) AS blocked,
           count(*) FILTER (WHERE deleted_at IS NULL AND inviter_id IS NOT NULL) AS activations,
           count(deleted_at) AS deleted
    FROM users
"""
_BY_DAY = """
    SELECT {day} AS day, count(*) AS number, CAST(sum(invitee_count) AS BIGINT) AS invitees
    FROM users WHERE deleted_at IS NULL AND {column} BETWEEN $1 AND $2
    GROUP BY 1
"""
_OPENS_BY_DAY = """
    SELECT day, CAST(sum(number) AS BIGINT) AS number
    FROM invite_opens JOIN users ON users.id = invite_opens.user_id
    WHERE users.deleted_at IS NULL AND day BETWEEN $1 AND $2
    GROUP BY day
"""
_OPENS_OF_NEWCOMERS = """
    SELECT CAST(sum(number) AS BIGINT) AS number
    FROM invite_opens JOIN users ON users.id = invite_opens.user_id
    WHERE users.deleted_at IS NULL AND users.created_at BETWEEN $1 AND $2
"""
_TOP_INVITERS = """
    SELECT inviters.id, inviters.phone, inviters.name, inviters.invite_code,
           count(*) AS activations
    FROM users JOIN users AS inviters ON inviters.id = users.inviter_id
    WHERE users.deleted_at IS NULL AND users.activated_at BETWEEN $1 AND $2
    AND inviters.deleted_at IS NULL
    GROUP BY inviters.id
    ORDER BY activations DESC, inviters.id
    LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class DayCount:
    """The users who signed up, or activated a code, on one day.

    number: how many they are. invitees: how many users they have invited, on any day.
    """

    number: int
    invitees: int


async def totals() -> dict[str, int]:
    """Return the counts `users`, `blocked`, `activations` and `deleted`."""
    return dict((await database.query_replica(_TOTALS))[0])


async def sign_ups(days: Days) -> dict[str, DayCount]:
    """Count the users who signed up, by day (`2026-01-31`). Days without any are missing."""
    return await _by_day("created_at", days)


async def activations(days: Days) -> dict[str, DayCount]:
    """Count the users who activated an invite code, by day as `sign_ups` does."""
    return await _by_day("activated_at", days)


async def opens(days: Days) -> dict[str, int]:
    """Count the opens of invite links, by day as `sign_ups` does."""
    first, last = days.first.isoformat(), days.last.isoformat()
    rows = await database.query_replica(_OPENS_BY_DAY, first, last)
    return {row["day"]: row["number"] for row in rows}


async def opens_of_newcomers(days: Days) -> int:
    """Count the opens, until now, of the links of the users who signed up in the period."""
    rows = await database.query_replica(_OPENS_OF_NEWCOMERS, days.start, days.end)
    return rows[0]["number"] or 0


async def top_inviters(days: Days, *, limit: int) -> list[dict[str, Any]]:
    """Return the users whose codes were activated most often: `id`, `phone`, `name`,
    `invite_code`, `activations`.
    """
    rows = await database.query_replica(_TOP_INVITERS, days.start, days.end, limit)
    return [{**row, "id": UUID(str(row["id"]))} for row in rows]


async def _by_day(column: str, days: Days) -> dict[str, DayCount]:
    sql = _BY_DAY.format(day=dialect.utc_day(column), column=column)
    rows = await database.query_replica(sql, days.start, days.end)
    return {row["day"]: DayCount(row["number"], row["invitees"]) for row in rows}
