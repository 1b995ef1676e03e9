"""Counting the uses of challenges. Each query is one statement, so that no two calls, in
whatever processes, both get the last guess.
"""

from __future__ import annotations

from datetime import datetime

from referral.storage import database
from referral.storage.models import ChallengeUse

_CHARGE = """
    INSERT INTO challenge_uses (id, guesses, is_spent, expires_at)
    VALUES ($1, 1, false, $2)
    ON CONFLICT (id) DO UPDATE SET guesses = challenge_uses.guesses + 1
    WHERE challenge_uses.guesses < $3 AND NOT challenge_uses.is_spent
    RETURNING guesses
"""
_SPEND = """
    UPDATE challenge_uses SET is_spent = true, guesses = guesses - 1
    WHERE id = $1 AND NOT is_spent
    RETURNING id
"""
_GIVE_BACK = """
    UPDATE challenge_uses SET guesses = guesses - 1 WHERE id = $1 AND guesses > 0 RETURNING id
"""


async def charge_guess(challenge_id: str, *, most: int, expires_at: datetime) -> int | None:
    """Take one guess; answers how many are taken now, None where none is left or it is spent."""
    rows = await database.query(_CHARGE, challenge_id, expires_at, most)
    return rows[0]["guesses"] if rows else None


async def give_back_guess(challenge_id: str) -> None:
    await database.query(_GIVE_BACK, challenge_id)


async def spend(challenge_id: str) -> bool:
    """Mark a challenge as used and give back the guess that was right; False where it was."""
    return bool(await database.query(_SPEND, challenge_id))


async def is_spent(challenge_id: str) -> bool:
    return await ChallengeUse.exists(id=challenge_id, is_spent=True)
