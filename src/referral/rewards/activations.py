"""What activations do to the ledger: call these in the transactions that change them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from referral.rewards import activation_queries


async def made(user_id: UUID, inviter_id: UUID, *, now: datetime) -> None:
    """Record that a user activated the inviter's code. Both are locked."""
    await activation_queries.add(user_id, inviter_id, made_at=now)


async def voided(user_id: UUID, *, now: datetime) -> None:
    """Record that a user's activation is voided.

    Call it before the user is unlinked, with the user and the inviter locked.
    """
    activation = await activation_queries.present(user_id)
    if activation is not None:
        await activation_queries.void(activation, now=now)
