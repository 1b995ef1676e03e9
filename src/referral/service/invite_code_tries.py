"""Tries of invite codes: charged before the look-up, so that many at once learn no more than few.

The charge and the look-up share one transaction. An unknown code commits the charge; a known one
rolls it back, so it costs nobody anything. Concurrent tries of one user or address queue at the
counter's row: none is refused because of a try that finds its code a moment later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from referral.core import buckets, budgets
from referral.core.buckets import Charge
from referral.core.budgets import Subject
from referral.core.errors import TooManyRequests, UnknownInviteCode
from referral.service import outcomes
from referral.service.parts import Caller, Parts
from referral.storage import counters, database

T = TypeVar("T")

# One at a time for each counter: those that queue at its row would each hold a connection
_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


class _RolledBack(Exception):  # noqa: N818 - nothing broke
    """Ends the transaction without keeping what it charged."""


async def take(
    parts: Parts,
    look_up: Callable[[], Awaitable[T]],
    *,
    caller: Caller,
    counted_by: str | None = None,
) -> T:
    """Look an invite code up, charging one try unless it is found.

    counted_by: the id or the phone of the person who tries; None charges the caller's address.
    Raises TooManyRequests if no try is left, and UnknownInviteCode as `look_up` does.
    """
    subject = Subject(phone="", address=caller.address, known_device=False, key=parts.counter_key)
    charges = budgets.invite_code_try(parts.limits, subject, counted_by)
    now = buckets.microseconds(parts.clock())
    refusal: UnknownInviteCode | None = None
    found: list[T] = []

    async def charge_and_look_up() -> None:
        nonlocal refusal
        found.clear()
        if not await counters.charge_within(charges, now=now):
            raise _RolledBack
        try:
            found.append(await look_up())
        except UnknownInviteCode as unknown:
            refusal = unknown
            return
        raise _RolledBack

    # The widest network comes last
    lock = _locks.setdefault(charges[-1].key, asyncio.Lock())
    try:
        with parts.room.aside():
            await lock.acquire()
        try:
            await database.transaction(charge_and_look_up)
        finally:
            lock.release()
    except _RolledBack:
        if not found:
            await _refuse(charges, caller, now)
        return found[0]
    assert refusal is not None  # noqa: S101 - the transaction commits only then
    raise refusal


async def _refuse(charges: list[Charge], caller: Caller, now: int) -> None:
    tats = await counters.read(each.key for each in charges)
    exhausted = budgets.first_full(charges, tats, now=now) or charges[0]
    outcomes.limited(exhausted.name, exhausted.key, caller=caller, now=now)
    retry_after = budgets.retry_after(charges, tats, now=now)
    raise TooManyRequests.by(exhausted, retry_after=retry_after)
