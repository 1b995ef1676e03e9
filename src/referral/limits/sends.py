"""Charging messages before they are sent. limits/refunds.py refunds them.

A message is charged to its phone, the address, the cost guard and the day's sends overall, and the
charges are committed, before a gateway is called. So a request that is cancelled, or a process that
dies, may lose a refund but never sends a message that was not counted.

The cost guard and the sends overall are counted in this process's memory, which is checked and
changed without waiting in between; the other counters are charged in one statement. If that
statement charges nothing, the counts in memory are undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import NoReturn

from msgspec import Struct

from referral import observability
from referral.context import Caller, Context
from referral.core.channels import Channel
from referral.core.errors import InvalidRequest, TooManyRequests
from referral.limits import counters, gcra, send_policy
from referral.limits.gcra import HOUR, Bucket, Charge
from referral.limits.policy import LimitName
from referral.limits.pumping import guard
from referral.limits.pumping.rules import REFILL_HOURS, Block
from referral.limits.scope import LimitScope
from referral.storage import database

_ATTEMPTS = 5


class Charged(Struct, frozen=True, kw_only=True):
    """A charged message. before, after: the TATs of its counters, by key."""

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


class Wait(Struct, frozen=True):
    """A charge that is refused, and for how many seconds. block: set if the cost guard refuses."""

    charge: Charge
    seconds: int
    block: Block | None = None


async def charge(
    ctx: Context, scope: LimitScope, *, caller: Caller, at: datetime, is_call: bool = False
) -> Charged:
    """Charge a message with a code.

    is_call: a call requires that the phone was sent a code in the last hour, so that nobody is
    called out of the blue. Raises TooManyRequests, and InvalidRequest for a call to a phone without
    a recent code.
    """
    now = gcra.microseconds(at)
    keys = [*send_policy.keys(ctx.limits, scope), *_recent_code_keys(ctx, scope)]
    tats: Mapping[str, int] | None = None
    if not is_call and await _count_unless_refused(ctx, scope, caller=caller, at=at):
        # Usually this is the phone's first message in an hour. PostgreSQL then reads and charges
        # the counters in one statement. If it is not the first, that statement charges nothing,
        # and the counters that it read are used below
        charges = _charges(ctx, scope, {}, now)
        try:
            first = send_policy.first_of_hour(charges)
            tats, after = await counters.read_and_charge(keys, first, now=now)
        except BaseException:
            uncount(ctx, scope, at)
            raise
        if after is not None:
            return Charged(scope=scope, at=at, charges=charges, before=tats, after=after)
        uncount(ctx, scope, at)
    for _ in range(_ATTEMPTS):
        if tats is None:
            tats = await counters.read(keys)
        scope = send_policy.scope_at_send(scope, tats, now=now)
        if waits := _waits(ctx, scope, tats, at):
            await _refuse(ctx, scope, waits, caller=caller, at=at)
        await _require_recent_code(ctx, scope, tats, now, is_call=is_call)
        if block := await _count(ctx, scope, caller=caller, at=at):
            await _refuse(ctx, scope, [_wait_of_guard(block)], caller=caller, at=at)
        charges = _charges(ctx, scope, tats, now)
        try:
            after = await counters.charge(charges, now=now)
        except BaseException:
            uncount(ctx, scope, at)
            raise
        if after is not None:
            return Charged(scope=scope, at=at, charges=charges, before=tats, after=after)
        # Another call charged the counters after they were read
        uncount(ctx, scope, at)
        tats = None
    raise TooManyRequests.by(charges[0].limit, retry_after=1)


async def charge_fallback(ctx: Context, charged: Charged) -> Charged | None:
    """Charge one more message with the same code, which another gateway will send.

    Return None if the phone's limits or the day's sends overall refuse it.
    """
    at, scope = ctx.clock(), charged.scope
    if _wait_of_day(ctx, scope, at, weight=scope.weight):
        return None
    charges = send_policy.phone_charges(ctx.limits, scope)
    # Counted before the charge is awaited, so that no other send passes the same check meanwhile
    guard.count_send(ctx, scope, at)
    ctx.global_limits.add(LimitName.SENDS_DAY, scope.weight)
    try:
        after = await counters.charge(charges, now=gcra.microseconds(at))
    except BaseException:
        uncount(ctx, scope, at)
        raise
    if after is None:
        uncount(ctx, scope, at)
        return None
    return Charged(scope=scope, at=at, charges=charges, before={}, after=after)


async def count_notice(ctx: Context, phone: str) -> Charged:
    """Charge a notice to the phone and to the day's sends overall. No limit refuses it."""
    at = ctx.clock()
    scope = LimitScope(
        phone=phone,
        address="",
        known_device=False,
        key=ctx.counter_key,
        weight=ctx.channels.rules.weights[Channel.SMS],
    )
    charges = [each.unconditional() for each in send_policy.phone_charges(ctx.limits, scope)]
    ctx.global_limits.add(LimitName.SENDS_DAY, scope.weight)
    # It is sent even if it cannot be charged: it may warn people that they lost their account
    with suppress(database.Unavailable):
        await counters.charge(charges, now=gcra.microseconds(at))
    return Charged(scope=scope, at=at, charges=charges, before={}, after={})


def uncount(ctx: Context, scope: LimitScope, at: datetime) -> None:
    """Undo the counts of a message in memory. at: when it was counted."""
    guard.refund_send(ctx, scope, at)
    ctx.global_limits.add(LimitName.SENDS_DAY, -scope.weight)


def waits_in_memory(
    ctx: Context, scope: LimitScope, at: datetime, *, weight_of_day: int
) -> list[Wait]:
    """Return the charges in memory that are refused. weight_of_day: for the day's sends."""
    waits = []
    if seconds := _wait_of_day(ctx, scope, at, weight=weight_of_day):
        waits.append(Wait(ctx.global_limits.charges[LimitName.SENDS_DAY], seconds))
    if block := guard.check(ctx, scope, at):
        waits.append(_wait_of_guard(block))
    return waits


async def record_refusal(
    ctx: Context, scope: LimitScope, waits: list[Wait], *, caller: Caller, at: datetime
) -> Wait:
    """Record a refused message, and return the longest wait: a retry after it works."""
    longest = max(waits, key=lambda each: each.seconds)
    if longest.block is not None:
        await guard.record_block(ctx, scope, longest.block, caller=caller, at=at)
    else:
        now = gcra.microseconds(at)
        observability.rate_limited(longest.charge.name, longest.charge.key, caller=caller, now=now)
    return longest


def retry_after(ctx: Context, scope: LimitScope, tats: Mapping[str, int], *, at: datetime) -> int:
    """Return the seconds until a message can be sent, at least 1. tats: of `send_policy.keys`."""
    scope = send_policy.scope_at_send(scope, tats, now=gcra.microseconds(at))
    return max((each.seconds for each in _waits(ctx, scope, tats, at)), default=1)


async def _require_recent_code(
    ctx: Context, scope: LimitScope, tats: Mapping[str, int], now: int, *, is_call: bool
) -> None:
    """Require that a phone was sent a code in the last hour if it is called.

    A refusal is charged to the address, so that it cannot test many phones for recent codes. Raises
    InvalidRequest.
    """
    if not is_call or tats.get(send_policy.recent_code_key(scope), 0) > now:
        return
    await counters.charge(send_policy.address_charges(ctx.limits, scope), now=now)
    raise InvalidRequest.field(
        "channel",
        "A call needs another code first, sent to this phone within the last hour. Leave the "
        "channel out, and ask for a call if nothing arrives.",
    )


async def _count_unless_refused(
    ctx: Context, scope: LimitScope, *, caller: Caller, at: datetime
) -> bool:
    """Count a message in memory if it may be its phone's first in an hour and nothing refuses it.

    Return whether it was counted.
    """
    return (
        send_policy.can_assume_first(ctx.limits)
        and not _wait_of_day(ctx, scope, at, weight=scope.weight)
        and await _count(ctx, scope, caller=caller, at=at) is None
    )


async def _count(ctx: Context, scope: LimitScope, *, caller: Caller, at: datetime) -> Block | None:
    """Count a message in memory, or return why the cost guard refuses it."""
    block = await guard.admit(ctx, scope, caller=caller, at=at)
    if block is None:
        ctx.global_limits.add(LimitName.SENDS_DAY, scope.weight)
    return block


def _charges(ctx: Context, scope: LimitScope, tats: Mapping[str, int], now: int) -> list[Charge]:
    charges = send_policy.charges(ctx.limits, scope, tats, now=now)
    return [
        *charges,
        *(send_policy.recent_code_charge(key) for key in _recent_code_keys(ctx, scope)),
    ]


def _recent_code_keys(ctx: Context, scope: LimitScope) -> list[str]:
    """Return the key of the counter on which calls to the phone depend; none without calls."""
    has_calls = Channel.VOICE in ctx.channels.rules.available
    return [send_policy.recent_code_key(scope)] if has_calls else []


def _wait_of_day(ctx: Context, scope: LimitScope, at: datetime, *, weight: int) -> int:
    return ctx.global_limits.wait_for_sends(at, is_exempt=scope.is_exempt, weight=weight)


def _waits(ctx: Context, scope: LimitScope, tats: Mapping[str, int], at: datetime) -> list[Wait]:
    """Return the charges that are refused now, those in memory included."""
    now = gcra.microseconds(at)
    waits = [
        Wait(each, each.retry_after(tats.get(each.key, 0), now))
        for each in send_policy.charges(ctx.limits, scope, tats, now=now)
        if each.is_exhausted(tats.get(each.key, 0), now)
    ]
    return [*waits, *waits_in_memory(ctx, scope, at, weight_of_day=scope.weight)]


def _wait_of_guard(block: Block) -> Wait:
    segment = block.segment
    bucket = Bucket(int(segment.allowance), REFILL_HOURS * HOUR)
    return Wait(gcra.new_charge(segment.limit, segment.key, bucket), block.seconds, block)


async def _refuse(
    ctx: Context, scope: LimitScope, waits: list[Wait], *, caller: Caller, at: datetime
) -> NoReturn:
    longest = await record_refusal(ctx, scope, waits, caller=caller, at=at)
    raise TooManyRequests.by(longest.charge.limit, retry_after=longest.seconds)
