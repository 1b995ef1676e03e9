"""Former phones: keyed digests of phones that left their users, kept for a year.

A former phone cannot activate an invite code, and takes no second place of the same inviter.
Otherwise people could delete their accounts and sign up again as new invitees.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from referral.context import Context
from referral.core import digests as keyed_digests
from referral.core.keys import Purpose
from referral.storage import invitations as invitation_queries
from referral.storage import places as place_queries
from referral.storage.models import User

# How long a phone cannot activate a code after its user was deleted or moved to another phone
REMEMBER_FOR = timedelta(days=365)


def digests(ctx: Context, phone: str) -> list[str]:
    """Return the keyed digests of a phone, the one to store first."""
    return keyed_digests.of_text(phone, Purpose.ACTIVATION, data_keys=ctx.data_keys)


async def remember(ctx: Context, user: User, *, now: datetime) -> None:
    """Remember a phone that leaves its user, who need not have an inviter."""
    if user.phone is None:
        return
    own, until = digests(ctx, user.phone), now + REMEMBER_FOR
    await invitation_queries.record_past_activation(own[0], until=until)
    await place_queries.renew_phones(own, until=until)
    if user.inviter_id is not None:
        await place_queries.remember_phone(own[0], user.inviter_id, takes_place=False, until=until)


async def has_left(ctx: Context, phone: str, *, now: datetime) -> bool:
    """Return whether the phone belonged to another account in the last year."""
    return await invitation_queries.has_past_activation(digests(ctx, phone), now=now)


async def forget_activation(ctx: Context, phone: str) -> None:
    """Let a phone activate a code again: the activation of its user is voided."""
    await invitation_queries.delete_past_activations(digests(ctx, phone))
