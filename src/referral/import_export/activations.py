"""Recording imported links as activations, many at a time.

A link stands as an activation at the time of the import, whenever the user signed up.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from referral.storage import database

# For new users, one statement instead of one for each: they have had no inviter before
_ADD_NEW = """
    INSERT INTO activations (user_id, inviter_id, made_at, is_repeat, flags)
    SELECT id, inviter_id, $1, FALSE, '' FROM users WHERE id IN ({marks})
"""
_ADD = """
    INSERT INTO activations (user_id, inviter_id, made_at, is_repeat, flags)
    SELECT $1, $2, $3, EXISTS (
        SELECT 1 FROM activations WHERE user_id = $1 AND inviter_id = $2
    ), ''
"""


async def add_of_new_users(user_ids: Collection[UUID], *, now: datetime) -> None:
    """Add the activations of users who have just been added together with their inviters."""
    if user_ids:
        marks = ", ".join(f"${number}" for number in range(2, len(user_ids) + 2))
        await database.query(_ADD_NEW.format(marks=marks), now, *user_ids)


async def add(links: Collection[tuple[UUID, UUID]], *, now: datetime) -> None:
    """Add the activations of these pairs of a user and an inviter. The users must be locked."""
    await database.query_many(_ADD, [(user, inviter, now) for user, inviter in links])
