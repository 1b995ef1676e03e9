"""Refunding messages that were charged: not accepted, not billed, or with a code too short."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from referral.context import Context
from referral.limits import counters, gcra, receipts, send_policy, sends
from referral.limits.counters import Advance
from referral.limits.policy import LimitName
from referral.limits.pumping import guard
from referral.limits.scope import LimitScope, counter_key
from referral.limits.sends import Charged
from referral.storage import database

# The longest that the cost guard and the day's sends overall remember a message
_REFUNDABLE_FOR = timedelta(hours=24)
_COST_GUARD = "cost-guard"


async def refund(ctx: Context, charged: Charged) -> None:
    """Refund a message that was certainly not accepted by any gateway."""
    sends.uncount(ctx, charged.scope, charged.at)
    for key in (send_policy.wait_key(charged.scope), send_policy.recent_code_key(charged.scope)):
        if key in charged.after:
            await _set_back(charged, key)
    refunded = [each for each in charged.charges if each.name not in send_policy.CLEARED_INSTEAD]
    await counters.refund(refunded, now=charged.now)


async def refund_unbilled(ctx: Context, receipt: str) -> None:
    """Refund, once, a message that its provider does not bill.

    The cost guard and the day's sends overall get it back. The phone's own counts stay, since it
    may have been sent to harass the owner. receipt: see limits/receipts.py. One that is none of
    ours, or older than a day, is ignored.
    """
    found = receipts.decode(receipt, ctx.keys, counter_key=ctx.counter_key)
    if found is None or ctx.clock() - found.at >= _REFUNDABLE_FOR:
        return
    if await _is_first_refund(ctx, found.challenge_id, _COST_GUARD):
        guard.refund_send(ctx, found.scope, found.at)
        await _refund_day(ctx, found.challenge_id, found.scope.weight)


async def refund_too_short(
    ctx: Context, scope: LimitScope, *, challenge_id: str, weight: int, now: int
) -> None:
    """Refund the send of a code that is now too short, so that a longer one can follow.

    The wait is cleared; the address and the sends overall are refunded. scope: as at that send.
    """
    await _refund_day(ctx, challenge_id, weight)
    await counters.clear(send_policy.wait_key(scope))
    await counters.refund(send_policy.address_charges(ctx.limits, scope), now=now)


async def refund_notice(ctx: Context, charged: Charged) -> None:
    ctx.global_limits.add(LimitName.SENDS_DAY, -charged.scope.weight)
    with suppress(database.Unavailable):
        await counters.refund(charged.charges, now=charged.now)


async def _refund_day(ctx: Context, challenge_id: str, weight: int) -> None:
    """Refund a challenge's message to the day's sends overall, unless it is refunded already."""
    if await _is_first_refund(ctx, challenge_id, LimitName.SENDS_DAY):
        ctx.global_limits.add(LimitName.SENDS_DAY, -weight)


async def _is_first_refund(ctx: Context, challenge_id: str, limit: str) -> bool:
    """Return whether a challenge's message was not refunded before, and remember this refund."""
    now = ctx.clock()
    key = counter_key(ctx.counter_key, f"refunded|{challenge_id}|{limit}")
    until = gcra.microseconds(now + _REFUNDABLE_FOR)
    return await counters.advance(Advance(key, until, below=gcra.microseconds(now)))


async def _set_back(charged: Charged, key: str) -> None:
    """Set a counter back to before a message, unless another one has advanced it meanwhile."""
    await counters.clear(key, tat=charged.after[key])
    before = charged.before.get(key, 0)
    if before > charged.now:
        await counters.advance(Advance(key, before, below=before))
