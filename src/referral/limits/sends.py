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
from referral.context import Caller, Parts
from referral.core.errors import TooManyRequests
from referral.limits import counters, gcra, send_policy
from referral.limits.gcra import HOUR, Bucket, Charge
from referral.limits.global_limits import SENDS
from referral.limits.guess_policy import Subject
from referral.limits.pumping import guard
from referral.limits.pumping.rules import REFILL_HOURS, Block
from referral.storage import database

_TRIES = 5


class Charged(Struct, frozen=True, kw_only=True):
    """A message that is charged. before, after: where its counters stood and stand."""

    subject: Subject
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


async def charge(parts: Parts, subject: Subject, *, caller: Caller, at: datetime) -> Charged:
    """Charge a message with a code. Raises TooManyRequests."""
    now = gcra.microseconds(at)
    keys = send_policy.send_keys(parts.limits, subject)
    moments: Mapping[str, int] | None = None
    if await _is_counted_as_first(parts, subject, caller=caller, at=at):
        # Usually the phone's first message of an hour, which PostgreSQL looks at and charges in one
        # statement; anything else goes by steps
        charges = send_policy.send(parts.limits, subject, {}, now=now)
        try:
            first = send_policy.only_first(charges)
            moments, after = await counters.read_and_charge(keys, first, now=now)
        except BaseException:
            _uncount(parts, subject, at)
            raise
        if after is not None:
            return Charged(subject=subject, at=at, charges=charges, before=moments, after=after)
        _uncount(parts, subject, at)
    for _ in range(_TRIES):
        if moments is None:
            moments = await counters.read(keys)
        subject = send_policy.at_send(subject, moments, now=now)
        if waits := _waits(parts, subject, moments, at):
            await _refuse(parts, subject, waits, caller=caller, at=at)
        if block := await _count(parts, subject, caller=caller, at=at):
            await _refuse(parts, subject, [_of_guard(block)], caller=caller, at=at)
        charges = send_policy.send(parts.limits, subject, moments, now=now)
        try:
            after = await counters.charge(charges, now=now)
        except BaseException:
            _uncount(parts, subject, at)
            raise
        if after is not None:
            return Charged(subject=subject, at=at, charges=charges, before=moments, after=after)
        # Another call changed the counters after they were read
        _uncount(parts, subject, at)
        moments = None
    raise TooManyRequests.by(charges[0].limit, retry_after=1)


async def charge_another(parts: Parts, charged: Charged) -> Charged | None:
    """Charge one more message with the same code. None: the phone's or the day's caps refuse it."""
    at, subject = parts.clock(), charged.subject
    if parts.totals.wait_for_sends(at, is_exempt=subject.is_exempt):
        return None
    charges = send_policy.phone_sends(parts.limits, subject)
    after = await counters.charge(charges, now=gcra.microseconds(at))
    if after is None:
        return None
    guard.count(parts, subject, at)
    parts.totals.add(SENDS)
    return Charged(subject=subject, at=at, charges=charges, before={}, after=after)


async def refund(parts: Parts, charged: Charged) -> None:
    """Take back a message of which surely nothing was taken."""
    _uncount(parts, charged.subject, charged.at)
    wait = send_policy.wait_key(charged.subject)
    if wait in charged.after:
        # Unless another message has begun a wait of its own meanwhile
        await counters.clear(wait, moment=charged.after[wait])
    await counters.give_back(send_policy.without_wait(charged.charges), now=charged.now)


async def refund_too_short(parts: Parts, subject: Subject, *, now: int) -> None:
    """Let a phone have a longer code at once. subject: as it was at the send of the shorter one."""
    parts.totals.add(SENDS, -1)
    await counters.clear(send_policy.wait_key(subject))
    await counters.give_back(send_policy.address_sends(parts.limits, subject), now=now)


async def count_notice(parts: Parts, phone: str) -> Charged:
    """Count a message that no limit holds back, against its phone's caps and the day's total."""
    at = parts.clock()
    subject = Subject(phone=phone, address="", known_device=False, key=parts.counter_key)
    charges = send_policy.counted(send_policy.phone_sends(parts.limits, subject))
    parts.totals.add(SENDS)
    # Told all the same: whoever reads it may have lost their account
    with suppress(database.Unavailable):
        await counters.charge(charges, now=gcra.microseconds(at))
    return Charged(subject=subject, at=at, charges=charges, before={}, after={})


async def refund_notice(parts: Parts, charged: Charged) -> None:
    parts.totals.add(SENDS, -1)
    with suppress(database.Unavailable):
        await counters.give_back(charged.charges, now=charged.now)


def retry_after(parts: Parts, subject: Subject, moments: Mapping[str, int], *, at: datetime) -> int:
    """Seconds until a message can be sent. moments: the counters of `send_budgets.send_keys`."""
    subject = send_policy.at_send(subject, moments, now=gcra.microseconds(at))
    return max((each.seconds for each in _waits(parts, subject, moments, at)), default=1)


async def _is_counted_as_first(
    parts: Parts, subject: Subject, *, caller: Caller, at: datetime
) -> bool:
    return (
        send_policy.has_first(parts.limits)
        and not parts.totals.wait_for_sends(at, is_exempt=subject.is_exempt)
        and await _count(parts, subject, caller=caller, at=at) is None
    )


async def _count(parts: Parts, subject: Subject, *, caller: Caller, at: datetime) -> Block | None:
    """Count a message at the cost guard and in the day's total, unless the guard refuses it."""
    block = await guard.take(parts, subject, caller=caller, at=at)
    if block is None:
        parts.totals.add(SENDS)
    return block


def _uncount(parts: Parts, subject: Subject, at: datetime) -> None:
    guard.give_back(parts, subject, at)
    parts.totals.add(SENDS, -1)


def _waits(parts: Parts, subject: Subject, moments: Mapping[str, int], at: datetime) -> list[_Wait]:
    """The limits that refuse a message now."""
    now = gcra.microseconds(at)
    waits = [
        _Wait(each, each.retry_after(moments.get(each.key, 0), now))
        for each in send_policy.send(parts.limits, subject, moments, now=now)
        if each.is_full(moments.get(each.key, 0), now)
    ]
    if seconds := parts.totals.wait_for_sends(at, is_exempt=subject.is_exempt):
        waits.append(_Wait(parts.totals.charges[SENDS], seconds))
    if block := guard.look(parts, subject, at):
        waits.append(_of_guard(block))
    return waits


def _of_guard(block: Block) -> _Wait:
    place = block.place
    bucket = Bucket(int(place.allowance), REFILL_HOURS * HOUR)
    return _Wait(gcra.charge(place.limit, place.key, bucket), block.seconds, block)


async def _refuse(
    parts: Parts, subject: Subject, waits: list[_Wait], *, caller: Caller, at: datetime
) -> NoReturn:
    """Tell the limit that refuses for longest, so that a retry works after it."""
    longest = max(waits, key=lambda each: each.seconds)
    if longest.block is not None:
        await guard.record(parts, subject, longest.block, caller=caller, at=at)
    else:
        now = gcra.microseconds(at)
        observability.limited(longest.charge.name, longest.charge.key, caller=caller, now=now)
    raise TooManyRequests.by(longest.charge.limit, retry_after=longest.seconds)
