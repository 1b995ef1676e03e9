"""Queries for activations: who was whose invitee, from when until when."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from referral.storage import database, users
from referral.storage.models import Activation

_ADD = """
    INSERT INTO activations (user_id, inviter_id, made_at, is_repeat, flags)
    SELECT $1, $2, $3, EXISTS (
        SELECT 1 FROM activations WHERE user_id = $1 AND inviter_id = $2
    ), ''
    RETURNING id
"""


async def add(user_id: UUID, inviter_id: UUID, *, made_at: datetime) -> Activation:
    """Add the activation of an inviter's code. Call it with the user locked."""
    (row,) = await database.query(_ADD, user_id, inviter_id, made_at)
    return await Activation.get(id=row["id"])


async def present(user_id: UUID) -> Activation | None:
    """Return the activation of a user, deleted or not, that is not voided.

    It is added if an earlier version made it, which had no such table. Call it with the user
    locked.
    """
    user = await users.get(user_id)
    if user.inviter_id is None or user.activated_at is None:
        return None
    found = await Activation.get_or_none(user_id=user_id, voided_at__isnull=True)
    return found or await add(user_id, user.inviter_id, made_at=user.activated_at)


async def void(activation: Activation, *, now: datetime) -> None:
    await Activation.filter(id=activation.id).update(voided_at=now)
