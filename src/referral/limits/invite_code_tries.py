"""Tries of invite codes: judged under locks, so that many at once learn no more than few.

A try locks its counters, looks whether they are exhausted, looks the code up, and is charged only
if there is no such code. Concurrent tries of one user or address queue at the counter's row: none
is refused because of a try that finds its code a tat later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from referral import observability
from referral.context import Caller, Context
from referral.core.errors import Refusal, TooManyRequests, UnknownInviteCode
from referral.limits import counters, gcra, guess_policy
from referral.limits.gcra import Charge
from referral.limits.guess_policy import LimitScope
from referral.storage import database

T = TypeVar("T")


class _NotCharged(Exception):  # noqa: N818 - nothing broke
    """Ends the transaction of a try that is not charged, and writes nothing."""


async def take(
    ctx: Context,
    look_up: Callable[[], Awaitable[T]],
    *,
    caller: Caller,
    counted_by: str | None = None,
) -> T:
    """Look an invite code up, charging one try unless it is found.

    counted_by: the id or the phone of the person who tries; None charges the caller's address.
    Raises TooManyRequests if no try is left, and UnknownInviteCode as `look_up` does.
    """
    return await database.shielded(_take(ctx, look_up, caller, counted_by))


async def _take(
    ctx: Context, look_up: Callable[[], Awaitable[T]], caller: Caller, counted_by: str | None
) -> T:
    charges = _charges(ctx, caller, counted_by)
    outcome: list[T | Refusal] = []

    async def attempt() -> None:
        outcome[:] = [await _attempt(ctx, look_up, charges, caller)]
        if not isinstance(outcome[0], UnknownInviteCode):
            raise _NotCharged

    # The widest network comes last
    async with ctx.keyed_locks.take(charges[-1].key):
        with suppress(_NotCharged):
            await database.transaction(attempt)
    (done,) = outcome
    if isinstance(done, Refusal):
        raise done
    return done


async def take_within(
    ctx: Context, look_up: Callable[[], Awaitable[object]], *, caller: Caller, counted_by: str
) -> Refusal | None:
    """Take a try in the transaction under way, whose commit keeps the charge.

    Returns UnknownInviteCode, TooManyRequests, or None if the code was found.
    """
    done = await _attempt(ctx, look_up, _charges(ctx, caller, counted_by), caller)
    return done if isinstance(done, Refusal) else None


def _charges(ctx: Context, caller: Caller, counted_by: str | None) -> list[Charge]:
    scope = LimitScope(phone="", address=caller.address, known_device=False, key=ctx.counter_key)
    return guess_policy.invite_code_try(ctx.limits, scope, counted_by)


async def _attempt(
    ctx: Context, look_up: Callable[[], Awaitable[T]], charges: list[Charge], caller: Caller
) -> T | Refusal:
    now = gcra.microseconds(ctx.clock())
    tats = await counters.lock(each.key for each in charges)
    exhausted = guess_policy.first_exhausted(charges, tats, now=now)
    if exhausted is not None:
        observability.limited(exhausted.name, exhausted.key, caller=caller, now=now)
        retry_after = guess_policy.retry_after(charges, tats, now=now)
        return TooManyRequests.by(exhausted.limit, retry_after=retry_after)
    try:
        return await look_up()
    except UnknownInviteCode as unknown:
        await counters.charge(charges, now=now)
        return unknown
