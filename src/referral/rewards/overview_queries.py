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


async def holds(user_id: UUID, unit: str, *, now: datetime, limit: int) -> Sequence[Row]:
    """Return a user's pending entries in a unit that are available first."""
    found = await database.query(_HOLDS.format(limit=limit), user_id, unit, now)
    return dialect.decode_rows(found)


async def in_review(user_id: UUID) -> Sequence[Row]:
    """Return the sum of a user's entries in review, by unit."""
    return await database.query(_IN_REVIEW, user_id)
