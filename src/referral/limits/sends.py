"""Charging messages before they go out, and refunding them.

Everything is charged and committed before a gateway is asked: to the phone, to the address, to the
cost guard and to the day's total. So a request that is cancelled, or a process that dies, may lose
a refund but never sends what nobody counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import NoReturn

from msgspec import Struct

from referral import observability
from referral.context import Caller, Context
from referral.core.errors import TooManyRequests
from referral.limits import counters, gcra, send_policy
from referral.limits.gcra import HOUR, Bucket, Charge
from referral.limits.global_limits import SENDS
from referral.limits.guess_policy import LimitScope
from referral.limits.pumping import guard
from referral.limits.pumping.rules import REFILL_HOURS, Block
from referral.storage import database

_TRIES = 5


class Charged(Struct, frozen=True, kw_only=True):
    """A message that is charged. before, after: where its counters stood and stand."""

    scope: LimitScope
    at: datetime
    charges: list[Charge]
    before: Mapping[str, int]
    after: Mapping[str, int]

    @property
    def now(self) -> int:
        return gcra.microseconds(self.at)

    @property
    def resend_in(self) -> int:
        """Seconds until the phone may get the next code."""
        return send_policy.resend_in(self.charges, self.after, now=self.now)


class _Wait(Struct, frozen=True):
    """A charge refused for so many seconds. block: if it is the cost guard's."""

    charge: Charge
    seconds: int
    block: Block | None = None


async def charge(ctx: Context, scope: LimitScope, *, caller: Caller, at: datetime) -> Charged:
    """Charge a message with a code. Raises TooManyRequests."""
    now = gcra.microseconds(at)
    keys = send_policy.send_keys(ctx.limits, scope)
    tats: Mapping[str, int] | None = None
    if await _is_counted_as_first(ctx, scope, caller=caller, at=at):
        # Usually the phone's first message of an hour, which PostgreSQL looks at and charges in one
        # statement; anything else goes by steps
        charges = send_policy.send(ctx.limits, scope, {}, now=now)
        try:
            first = send_policy.only_first(charges)
            tats, after = await counters.read_and_charge(keys, first, now=now)
        except BaseException:
            _uncount(ctx, scope, at)
            raise
        if after is not None:
            return Charged(scope=scope, at=at, charges=charges, before=tats, after=after)
        _uncount(ctx, scope, at)
    for _ in range(_TRIES):
        if tats is None:
            tats = await counters.read(keys)
        scope = send_policy.at_send(scope, tats, now=now)
        if waits := _waits(ctx, scope, tats, at):
            await _refuse(ctx, scope, waits, caller=caller, at=at)
        if block := await _count(ctx, scope, caller=caller, at=at):
            await _refuse(ctx, scope, [_of_guard(block)], caller=caller, at=at)
        charges = send_policy.send(ctx.limits, scope, tats, now=now)
        try:
            after = await counters.charge(charges, now=now)
        except BaseException:
            _uncount(ctx, scope, at)
            raise
        if after is not None:
            return Charged(scope=scope, at=at, charges=charges, before=tats, after=after)
        # Another call changed the counters after they were read
        _uncount(ctx, scope, at)
        tats = None
    raise TooManyRequests.by(charges[0].limit, retry_after=1)


async def charge_another(ctx: Context, charged: Charged) -> Charged | None:
    """Charge one more message with the same code. None: the phone's or the day's caps refuse it."""
    at, scope = ctx.clock(), charged.scope
    if ctx.global_limits.wait_for_sends(at, is_exempt=scope.is_exempt):
        return None
    charges = send_policy.phone_sends(ctx.limits, scope)
    after = await counters.charge(charges, now=gcra.microseconds(at))
    if after is None:
        return None
    guard.count(ctx, scope, at)
    ctx.global_limits.add(SENDS)
    return Charged(scope=scope, at=at, charges=charges, before={}, after=after)


async def refund(ctx: Context, charged: Charged) -> None:
    """Take back a message of which surely nothing was taken."""
    _uncount(ctx, charged.scope, charged.at)
    wait = send_policy.wait_key(charged.scope)
    if wait in charged.after:
        # Unless another message has begun a wait of its own meanwhile
        await counters.clear(wait, tat=charged.after[wait])
    await counters.refund(send_policy.without_wait(charged.charges), now=charged.now)


async def refund_too_short(ctx: Context, scope: LimitScope, *, now: int) -> None:
    """Let a phone have a longer code at once. subject: as it was at the send of the shorter one."""
    ctx.global_limits.add(SENDS, -1)
    await counters.clear(send_policy.wait_key(scope))
    await counters.refund(send_policy.address_sends(ctx.limits, scope), now=now)


async def count_notice(ctx: Context, phone: str) -> Charged:
    """Count a message that no limit holds back, against its phone's caps and the day's total."""
    at = ctx.clock()
    scope = LimitScope(phone=phone, address="", known_device=False, key=ctx.counter_key)
    charges = send_policy.unconditional(send_policy.phone_sends(ctx.limits, scope))
    ctx.global_limits.add(SENDS)
    # Told all the same: whoever reads it may have lost their account
    with suppress(database.Unavailable):
        await counters.charge(charges, now=gcra.microseconds(at))
    return Charged(scope=scope, at=at, charges=charges, before={}, after={})


async def refund_notice(ctx: Context, charged: Charged) -> None:
    ctx.global_limits.add(SENDS, -1)
    with suppress(database.Unavailable):
        await counters.refund(charged.charges, now=charged.now)


def retry_after(ctx: Context, scope: LimitScope, tats: Mapping[str, int], *, at: datetime) -> int:
    """Seconds until a message can be sent. tats: the counters of `send_budgets.send_keys`."""
    scope = send_policy.at_send(scope, tats, now=gcra.microseconds(at))
    return max((each.seconds for each in _waits(ctx, scope, tats, at)), default=1)


async def _is_counted_as_first(
    ctx: Context, scope: LimitScope, *, caller: Caller, at: datetime
) -> bool:
    return (
        send_policy.has_first(ctx.limits)
        and not ctx.global_limits.wait_for_sends(at, is_exempt=scope.is_exempt)
        and await _count(ctx, scope, caller=caller, at=at) is None
    )


async def _count(ctx: Context, scope: LimitScope, *, caller: Caller, at: datetime) -> Block | None:
    """Count a message at the cost guard and in the day's total, unless the guard refuses it."""
    block = await guard.take(ctx, scope, caller=caller, at=at)
    if block is None:
        ctx.global_limits.add(SENDS)
    return block


def _uncount(ctx: Context, scope: LimitScope, at: datetime) -> None:
    guard.refund(ctx, scope, at)
    ctx.global_limits.add(SENDS, -1)


def _waits(ctx: Context, scope: LimitScope, tats: Mapping[str, int], at: datetime) -> list[_Wait]:
    """The limits that refuse a message now."""
    now = gcra.microseconds(at)
    waits = [
        _Wait(each, each.retry_after(tats.get(each.key, 0), now))
        for each in send_policy.send(ctx.limits, scope, tats, now=now)
        if each.is_exhausted(tats.get(each.key, 0), now)
    ]
    if seconds := ctx.global_limits.wait_for_sends(at, is_exempt=scope.is_exempt):
        waits.append(_Wait(ctx.global_limits.charges[SENDS], seconds))
    if block := guard.look(ctx, scope, at):
        waits.append(_of_guard(block))
    return waits


def _of_guard(block: Block) -> _Wait:
    segment = block.segment
    bucket = Bucket(int(segment.allowance), REFILL_HOURS * HOUR)
    return _Wait(gcra.charge(segment.limit, segment.key, bucket), block.seconds, block)


async def _refuse(
    ctx: Context, scope: LimitScope, waits: list[_Wait], *, caller: Caller, at: datetime
) -> NoReturn:
    """Tell the limit that refuses for longest, so that a retry works after it."""
    longest = max(waits, key=lambda each: each.seconds)
    if longest.block is not None:
        await guard.record(ctx, scope, longest.block, caller=caller, at=at)
    else:
        now = gcra.microseconds(at)
        observability.limited(longest.charge.name, longest.charge.key, caller=caller, now=now)
    raise TooManyRequests.by(longest.charge.limit, retry_after=longest.seconds)
