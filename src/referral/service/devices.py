"""Known devices: devices on which a phone has signed in before. Each keeps a device token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from referral.context import Context
from referral.core import digests, tokens
from referral.core.proof import Proof
from referral.service import proofs
from referral.storage import users as user_queries


@dataclass(frozen=True, slots=True)
class Recognised:
    """The facts that a device token proves about the device that sent it.

    is_known: whether the phone has signed in on it. shared_device: see Challenge.
    """

    is_known: bool = False
    shared_device: str = ""


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


async def recognise(ctx: Context, token: str | None, phone: str, *, now: datetime) -> Recognised:
    """Recognise a device by its token, if it has a valid one, when a code is sent to a phone.

    The account is looked up only if the token was issued for this phone, so the response time
    reveals nothing to anybody else. Whether another phone's token is revoked is checked when its
    digest is compared.
    """
    if token is None:
        return Recognised()
    device = tokens.verify_device(token, now=now, data_keys=ctx.data_keys)
    if device is None or not proofs.is_valid(ctx, device.proof, device.phone):
        return Recognised()
    if device.phone != phone:
        current, *_ = digests.of_device(
            device.phone,
            user_id=device.user_id,
            generation=device.generation,
            data_keys=ctx.data_keys,
        )
        return Recognised(shared_device=current)
    return Recognised(
        is_known=await user_queries.accepts_devices(
            UUID(device.user_id), phone=phone, generation=device.generation
        )
    )
