"""Queries that put pending entries in review.

They need no lock of the beneficiaries: what is available does not change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from referral.rewards import entry_queries
from referral.storage import database

_HOLD = """
    UPDATE reward_entries SET review = 'asked'
    WHERE kind = 'earned' AND reversed_at IS NULL AND available_at > $1 AND {condition}
    RETURNING CAST(user_id AS TEXT) AS user_id, unit, amount
"""
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


async def hold_of_user(user_id: UUID, *, now: datetime) -> None:
    """Put the pending entries of and about a user in review, also approved ones."""
    await _hold(_OF_USER, now, user_id)


async def hold_flagged(activation_ids: Collection[int], *, now: datetime) -> None:
    """Put the pending entries of flagged invitees in review, if their rules say so."""
    if activation_ids:
        ids = ", ".join(str(int(each)) for each in sorted(activation_ids))
        await _hold(_FLAGGED.format(ids=ids), now)


async def _hold(condition: str, now: datetime, *values: object) -> None:
    held: Counter[tuple[UUID, str]] = Counter()
    for row in await database.query(_HOLD.format(condition=condition), now, *values):
        held[UUID(row["user_id"]), row["unit"]] -= row["amount"]
    await entry_queries.add_to_balances(held)
