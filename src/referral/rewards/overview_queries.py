"""Queries for the overview of a person's rewards.

Each takes about the same time for any number of invitees, by an index that begins with the user.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from referral.rewards import status_sql
from referral.storage import database, dialect
from referral.storage.database import Row

_HOLDS = f"""
    SELECT unit, amount, available_at FROM reward_entries
    WHERE user_id = $1 AND unit = $2 AND {status_sql.condition("pending", now="$3")}
    ORDER BY available_at LIMIT {{limit:d}}
"""  # noqa: S608 - only constants
_IN_REVIEW = f"""
    SELECT unit, CAST(sum(amount) AS BIGINT) AS amount FROM reward_entries
    WHERE user_id = $1 AND {status_sql.condition("in_review", now="")}
    GROUP BY unit ORDER BY unit
"""  # noqa: S608 - only constants
# Milestones belong to several invitees. What is in review counts nowhere yet. IS TRUE keeps SQLite
# from reading all entries of the inviter by another index
EARNED_BY = f"""
    SELECT CAST(about_user_id AS TEXT) AS invitee_id, unit,
           CAST(sum(CASE WHEN available_at <= $2 THEN amount ELSE 0 END) AS BIGINT) AS available,
           CAST(sum(CASE WHEN available_at > $2 THEN amount ELSE 0 END) AS BIGINT) AS pending
    FROM reward_entries
    WHERE about_user_id IN ({{marks}}) AND (user_id = $1) IS TRUE AND milestone IS NULL
    AND {status_sql.COUNTED}
    GROUP BY about_user_id, unit ORDER BY unit
"""  # noqa: S608 - only constants


async def earned_by(user_id: UUID, invitee_ids: Sequence[UUID], *, now: datetime) -> Sequence[Row]:
    """Return the sums that each of these invitees earned a user, by unit, without milestones."""
    marks = dialect.placeholders(len(invitee_ids), first=3)
    return await database.query(EARNED_BY.format(marks=marks), user_id, now, *invitee_ids)


async def holds(user_id: UUID, unit: str, *, now: datetime, limit: int) -> Sequence[Row]:
    """Return a user's pending entries in a unit that are available first."""
    found = await database.query(_HOLDS.format(limit=limit), user_id, unit, now)
    return dialect.decode_rows(found)


async def in_review(user_id: UUID) -> Sequence[Row]:
    """Return the sum of a user's entries in review, by unit."""
    return await database.query(_IN_REVIEW, user_id)
