"""Flagging: mark a new activation, and those before it that form a group with it."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from referral.context import Context
from referral.core import digests
from referral.rewards import flag_queries, flags
from referral.rewards.flag_queries import Inviter
from referral.rewards.flags import Flag, Origin
from referral.storage.models import Activation

# The newest neighbours get the flag. The others had it when they were among these
_MAX_NEIGHBOURS = 100


async def flag(ctx: Context, activation: Activation, *, phone: str, origin: Origin) -> list[int]:
    """Flag a new activation, and the group that it completes.

    phone: the invitee's. Return the ids of the activations with new flags, this one included. Call
    it with the inviter locked, so that two activations cannot miss each other.
    """
    wanted: defaultdict[UUID, set[Flag]] = defaultdict(set)
    for each in await _own(ctx, activation, origin):
        wanted[activation.user_id].add(each)
    for user_id in await _burst(activation):
        wanted[user_id].add(Flag.BURST)
    for user_id in await _neighbours(activation, phone):
        wanted[user_id].add(Flag.NEIGHBOURS)
    changed = await flag_queries.add(activation.inviter_id, wanted)
    activation.flags = changed.get(activation.id, activation.flags)
    return list(changed)


async def _own(ctx: Context, activation: Activation, origin: Origin) -> list[Flag]:
    inviter = await flag_queries.inviter(
        activation.inviter_id,
        digests.all_of_address(origin.address, data_keys=ctx.data_keys),
        since=activation.made_at - flags.SAME_ADDRESS_WITHIN,
    )
    is_same_device = _is_shared(ctx, activation.inviter_id, inviter, origin)
    found = {Flag.SAME_ADDRESS: inviter.was_at_address, Flag.SAME_DEVICE: is_same_device}
    return [name for name, is_found in found.items() if is_found]


def _is_shared(ctx: Context, inviter_id: UUID, inviter: Inviter, origin: Origin) -> bool:
    """Return whether the device had a token of the inviter's phone that is still valid."""
    return bool(origin.shared_device) and origin.shared_device in digests.of_device(
        inviter.phone or "",
        user_id=str(inviter_id),
        generation=inviter.generation,
        data_keys=ctx.data_keys,
    )


async def _burst(activation: Activation) -> set[UUID]:
    times = await flag_queries.activated_around(activation)
    return flags.burst_of(activation.user_id, {**times, activation.user_id: activation.made_at})


async def _neighbours(activation: Activation, phone: str) -> list[UUID]:
    found = await flag_queries.in_block(
        phone,
        activation.inviter_id,
        since=activation.made_at - flags.NEIGHBOURS_WITHIN,
        limit=_MAX_NEIGHBOURS,
    )
    return found if len(found) >= flags.NEIGHBOURS else []
