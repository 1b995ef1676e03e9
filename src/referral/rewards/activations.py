"""What activations do to the ledger: call these in the transactions that change them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from referral.context import Context
from referral.rewards import activation_queries, flagging
from referral.rewards.flags import Origin
from referral.storage.models import User


async def made(
    ctx: Context, user: User, inviter_id: UUID, *, origin: Origin, now: datetime
) -> None:
    """Record that a user activated the inviter's code. Both are locked."""
    activation = await activation_queries.add(user.id, inviter_id, made_at=now)
    await flagging.flag(ctx, activation, phone=user.phone or "", origin=origin)


async def voided(user_id: UUID, *, now: datetime) -> None:
    """Record that a user's activation is voided.

    Call it before the user is unlinked, with the user and the inviter locked.
    """
    activation = await activation_queries.present(user_id)
    if activation is not None:
        await activation_queries.void(activation, now=now)
