"""Queries that put pending entries in review.

They do not lock the beneficiaries, who may be many. That is safe because `available` does not
change: the same amount leaves the pending entries and the balance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from referral.rewards import entry_queries, status_sql
from referral.storage import database

_ASK = f"""
    UPDATE reward_entries SET review = 'asked'
    WHERE {status_sql.LIVE} AND available_at > $1 AND {{condition}}
    RETURNING CAST(user_id AS TEXT) AS user_id, unit, amount
"""  # noqa: S608 - only constants
_OF_USER = """
    (review IS NULL OR review = 'approved') AND (user_id = $2 OR about_user_id = $2)
"""
_FLAGGED = """
    review IS NULL AND EXISTS (
        SELECT 1 FROM reward_rule_versions AS versions
        WHERE versions.rule = reward_entries.rule AND versions.version = reward_entries.version
        AND versions.review = 'flagged'
    ) AND (milestone IS NULL AND activation_id IN ({ids}) OR id IN (
        SELECT entry_id FROM milestone_invitees WHERE activation_id IN ({ids})
    ))
"""


async def ask_about_user(user_id: UUID, *, now: datetime) -> None:
    """Put the pending entries of and about a user in review, also approved ones."""
    await _ask(_OF_USER, now, user_id)


async def ask_about_flagged(activation_ids: Collection[int], *, now: datetime) -> None:
    """Put the pending entries of flagged invitees in review, if their rules say so."""
    if activation_ids:
        ids = ", ".join(str(int(each)) for each in sorted(activation_ids))
        await _ask(_FLAGGED.format(ids=ids), now)


async def _ask(condition: str, now: datetime, *values: object) -> None:
    left: Counter[tuple[UUID, str]] = Counter()
    for row in await database.query(_ASK.format(condition=condition), now, *values):
        left[UUID(row["user_id"]), row["unit"]] -= row["amount"]
    await entry_queries.add_to_balances(left)
