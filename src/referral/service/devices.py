"""Known devices: devices on which a phone has signed in before. Each keeps a device token."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from referral.context import Context
from referral.core import tokens
from referral.core.proof import Proof
from referral.service import proofs
from referral.storage import users as user_queries


def issue(
    ctx: Context, user_id: UUID, phone: str, *, generation: int, proof: Proof, now: datetime
) -> str:
    """Issue a token for the device on which a user signs in.

    generation: the user's device generation; a higher one revokes all earlier tokens.
    """
    return tokens.issue_device(
        phone,
        user_id=str(user_id),
        generation=generation,
        proof=proof,
        now=now,
        data_keys=ctx.data_keys,
    )


async def is_known(ctx: Context, token: str | None, phone: str, *, now: datetime) -> bool:
    """Return whether a device token makes its device a known device of this phone.

    The account is looked up only if the token was issued for this phone, so the response time
    reveals nothing to anybody else.
    """
    if token is None:
        return False
    device = tokens.verify_device(token, phone, now=now, data_keys=ctx.data_keys)
    if device is None or not proofs.is_valid(ctx, device.proof, phone):
        return False
    return await user_queries.accepts_devices(
        UUID(device.user_id), phone=phone, generation=device.generation
    )
