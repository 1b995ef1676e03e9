"""Counting codes that were used, for the cost guard and for the delivery figures."""

from __future__ import annotations

from contextvars import Context as Variables
from datetime import datetime

from msgspec.structs import replace

from referral import observability
from referral.context import Context
from referral.core.challenge import Challenge
from referral.core.channels import Channel
from referral.limits import code_charges
from referral.limits.pumping import guard
from referral.limits.scope import LimitScope
from referral.storage import database


def count(ctx: Context, challenge: Challenge, scope: LimitScope) -> None:
    """Count a redeemed challenge for the channel that its code went by.

    scope: with the address that requested the code.
    """
    now = ctx.clock()
    if challenge.channel_is_tentative:
        # In an empty context: in the caller's, a transaction may be open
        counting = database.spawn(
            _count_once_known(ctx, challenge, scope, now), context=Variables()
        )
        counting.add_done_callback(observability.task_ended)
    else:
        _count(ctx, challenge, scope, challenge.channel, now)


async def _count_once_known(
    ctx: Context, challenge: Challenge, scope: LimitScope, now: datetime
) -> None:
    channel = await code_charges.find_channel(ctx, challenge)
    _count(ctx, challenge, scope, channel or challenge.channel, now)


def _count(
    ctx: Context, challenge: Challenge, scope: LimitScope, channel: Channel, now: datetime
) -> None:
    guard.count_sign_in(ctx, replace(scope, weight=ctx.channels.rules.weights[channel]))
    if ctx.fixed_code(challenge.phone) is None:
        sent_at = challenge.expires_at - ctx.limits.code_life
        seconds = max(now.timestamp() - sent_at, 0)
        ctx.deliveries.count_used(challenge.phone, channel, now, seconds=seconds)
