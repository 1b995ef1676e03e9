"""The cost guard: count sends and sign-ins, and refuse messages that are pumped.

Exempt known devices are neither counted nor refused, since nobody has one without a sign-in; nor
are test phones, to which nothing is sent. limits/pumping/rules.py has the rules.
"""

from __future__ import annotations

from datetime import datetime

from referral import observability
from referral.context import Caller, Context
from referral.core.phone import country, mask
from referral.limits import gcra
from referral.limits.pumping.rules import Block
from referral.limits.scope import LimitScope
from referral.webhooks import events

BLOCK, OFF = "block", "off"


async def admit(ctx: Context, scope: LimitScope, *, caller: Caller, at: datetime) -> Block | None:
    """Count a message that is about to be sent, or return why it is refused.

    With `warn`, record the refusal and count the message. Nothing is awaited between the last check
    and the count, so concurrent messages cannot exceed a limit.
    """
    if not _is_guarded(ctx, scope):
        return None
    block = await ctx.traffic.admit(scope, at)
    if block is None or ctx.cost_guard == BLOCK:
        return block
    await record_block(ctx, scope, block, caller=caller, at=at)
    ctx.traffic.count_send(scope, at)
    return None


def check(ctx: Context, scope: LimitScope, at: datetime) -> Block | None:
    """Return why a message is refused, as far as this process knows, or None."""
    if ctx.cost_guard != BLOCK or not _is_guarded(ctx, scope):
        return None
    return ctx.traffic.check(scope, at)


def count_send(ctx: Context, scope: LimitScope, at: datetime) -> None:
    """Count a message that the cost guard does not judge."""
    if _is_guarded(ctx, scope):
        ctx.traffic.count_send(scope, at)


def refund_send(ctx: Context, scope: LimitScope, at: datetime) -> None:
    """Undo the count of a message that was counted at this time and not sent, or not billed."""
    if _is_guarded(ctx, scope):
        ctx.traffic.refund_send(scope, at)


def count_sign_in(ctx: Context, scope: LimitScope) -> None:
    """Count a redeemed challenge. scope: with the address that requested it."""
    if _is_guarded(ctx, scope):
        ctx.traffic.count_sign_in(scope, ctx.clock())


async def record_block(
    ctx: Context, scope: LimitScope, block: Block, *, caller: Caller, at: datetime
) -> None:
    """Log a message that the rules block. If it is refused, write a webhook event too."""
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
