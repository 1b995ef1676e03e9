"""The guard against messages that somebody pumps: sent, paid for, and never used.

Known devices that use their messages pass, and count nowhere: they cannot be had without a sign-in.
Nor do test phones, to which nothing is sent. limits/pumping/rules.py has the rules.
"""

from __future__ import annotations

from datetime import datetime

from referral import observability
from referral.context import Caller, Context
from referral.core.phone import country, mask
from referral.limits import gcra
from referral.limits.guess_policy import LimitScope
from referral.limits.pumping.rules import Block
from referral.webhooks import events

BLOCK, OFF = "block", "off"


async def take(ctx: Context, scope: LimitScope, *, caller: Caller, at: datetime) -> Block | None:
    """Count a message that is about to be sent, unless it is refused; `warn` only records it.

    Nothing is waited for between the last look and the count, so that many at once get no more
    than many one after another.
    """
    if not _is_guarded(ctx, scope):
        return None
    block = await ctx.traffic.take(scope, at)
    if block is None or ctx.cost_guard == BLOCK:
        return block
    await record(ctx, scope, block, caller=caller, at=at)
    ctx.traffic.sent(scope, at)
    return None


def look(ctx: Context, scope: LimitScope, at: datetime) -> Block | None:
    """Whether a message is refused, as far as this process knows."""
    if ctx.cost_guard != BLOCK or not _is_guarded(ctx, scope):
        return None
    return ctx.traffic.judge(scope, at)


def count(ctx: Context, scope: LimitScope, at: datetime) -> None:
    """Count a message that was not asked for by itself."""
    if _is_guarded(ctx, scope):
        ctx.traffic.sent(scope, at)


def refund(ctx: Context, scope: LimitScope, at: datetime) -> None:
    """The message that was counted at this moment was not sent."""
    if _is_guarded(ctx, scope):
        ctx.traffic.not_sent(scope, at)


def signed_in(ctx: Context, scope: LimitScope) -> None:
    """A challenge was redeemed. subject: with the address that it was asked for from."""
    if _is_guarded(ctx, scope):
        ctx.traffic.signed_in(scope, ctx.clock())


async def record(
    ctx: Context, scope: LimitScope, block: Block, *, caller: Caller, at: datetime
) -> None:
    is_refused, region = ctx.cost_guard == BLOCK, country(scope.phone)
    is_first = observability.message_blocked(
        block.segment.limit,
        block.segment.key,
        country=region,
        phone=scope.phone,
        caller=caller,
        now=gcra.microseconds(at),
        refused=is_refused,
    )
    if is_first and is_refused:
        await events.add_message_blocked(
            ctx, reason=block.segment.limit, country=region, phone=mask(scope.phone)
        )


def _is_guarded(ctx: Context, scope: LimitScope) -> bool:
    return ctx.cost_guard != OFF and not scope.is_exempt and ctx.fixed_code(scope.phone) is None
