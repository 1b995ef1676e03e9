"""Changes of the ledger by activations, voids, deletions and blocks.

Call these functions in the transactions of such changes, after the changes themselves, which lock
the user; `present` before them.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from referral.context import Context
from referral.rewards import (
    activation_queries,
    earning,
    entry_queries,
    event_queries,
    flagging,
    ledger,
    review_queries,
    rule_queries,
)
from referral.rewards.event_queries import NewEvent
from referral.rewards.flags import Origin
from referral.rewards.rules import ACTIVATED
from referral.storage.models import Activation


async def made(
    ctx: Context, user_id: UUID, inviter_id: UUID, *, origin: Origin, now: datetime
) -> None:
    """Record that a user activated an inviter's code, flag it, and make the entries it earns."""
    activation = await activation_queries.add(user_id, inviter_id, made_at=now)
    link = await earning.lock_link(activation)
    flagged = await flagging.flag(ctx, activation, phone=link.invitee.phone or "", origin=origin)
    await review_queries.ask_about_flagged(flagged, now=now)
    if activation.is_repeat:
        return
    rules = [
        rule
        for rule in await rule_queries.triggered_by(ACTIVATED)
        if rule.counts(occurred_at=now, value=None)
    ]
    if not rules:
        return
    event = NewEvent(
        id=f"activation/{activation.id}",
        digest=None,
        type=ACTIVATED,
        user_id=user_id,
        activation_id=activation.id,
        occurred_at=now,
    )
    await event_queries.add(event, now=now)
    await earning.count(ctx, event, rules, link=link, now=now)


async def present(user_id: UUID) -> Activation | None:
    """Lock a user, deleted or not, and return their activation. Call it before it is voided."""
    user = await activation_queries.lock(user_id)
    return await activation_queries.present(user) if user is not None else None


async def voided(ctx: Context, activation: Activation, *, now: datetime) -> None:
    """Record that an activation is voided, and take back the entries earned under it."""
    await activation_queries.void(activation, now=now)
    await event_queries.reverse(f"activation/{activation.id}", reason="voided", now=now)
    await earning.reverse_activation(ctx, activation, now=now)


async def deleted(ctx: Context, user_id: UUID, *, now: datetime) -> None:
    """Take back the entries of and about a deleted user that are not yet available."""
    lost = {
        each.id: each
        for each in (
            *await entry_queries.not_available_of(user_id, now=now),
            *await entry_queries.not_available_about(user_id, now=now),
        )
    }
    await ledger.reverse(ctx, list(lost.values()), cause="deleted", now=now)


async def blocked(user_id: UUID, *, now: datetime) -> None:
    """Put the pending entries of and about a blocked user in review."""
    await review_queries.ask_about_user(user_id, now=now)
