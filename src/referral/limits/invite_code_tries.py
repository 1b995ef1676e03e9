"""Tries of invite codes, judged under locks, so that concurrent tries cannot exceed the limit.

A try locks its counters, is refused if one is exhausted, looks the code up, and is charged only if
there is no such code. Tries of one user or address wait for each other at the counter, so none is
refused because of a concurrent one that is going to find its code.
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
from referral.limits.scope import LimitScope
from referral.storage import database

T = TypeVar("T")


class _NotCharged(Exception):  # noqa: N818 - not an error
    """Rolls back the transaction of a try that is not charged, so that nothing is written."""


async def attempt(
    ctx: Context,
    look_up: Callable[[], Awaitable[T]],
    *,
    caller: Caller,
    counted_by: str | None = None,
) -> T:
    """Look an invite code up, and charge a try if it is unknown.

    counted_by: the id or the phone of the person who tries; None charges the caller's address.
    Raises TooManyRequests if no try is left, and UnknownInviteCode if `look_up` does.
    """
    return await database.shielded(_attempt(ctx, look_up, caller, counted_by))


async def attempt_in_transaction(
    ctx: Context, look_up: Callable[[], Awaitable[object]], *, caller: Caller, counted_by: str
) -> Refusal | None:
    """Do what `attempt` does in the current transaction, which has to be committed for the charge.

    Return UnknownInviteCode or TooManyRequests, or None if the code was found.
    """
    outcome = await _judge(ctx, look_up, _charges(ctx, caller, counted_by), caller)
    return outcome if isinstance(outcome, Refusal) else None


async def _attempt(
    ctx: Context, look_up: Callable[[], Awaitable[T]], caller: Caller, counted_by: str | None
) -> T:
    charges = _charges(ctx, caller, counted_by)
    outcomes: list[T | Refusal] = []

    async def judge() -> None:
        outcomes[:] = [await _judge(ctx, look_up, charges, caller)]
        if not isinstance(outcomes[0], UnknownInviteCode):
            raise _NotCharged

    # The last charge is to the widest network
    async with ctx.keyed_locks.hold(charges[-1].key):
        with suppress(_NotCharged):
            await database.transaction(judge)
    (outcome,) = outcomes
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


def _charges(ctx: Context, caller: Caller, counted_by: str | None) -> list[Charge]:
    scope = LimitScope(phone="", address=caller.address, known_device=False, key=ctx.counter_key)
    return guess_policy.invite_code_charges(ctx.limits, scope, counted_by)


async def _judge(
    ctx: Context, look_up: Callable[[], Awaitable[T]], charges: list[Charge], caller: Caller
) -> T | Refusal:
    now = gcra.microseconds(ctx.clock())
    tats = await counters.lock(each.key for each in charges)
    exhausted = gcra.first_exhausted(charges, tats, now=now)
    if exhausted is not None:
        observability.rate_limited(exhausted.name, exhausted.key, caller=caller, now=now)
        return TooManyRequests.by(exhausted.limit, retry_after=gcra.wait(charges, tats, now=now))
    try:
        return await look_up()
    except UnknownInviteCode as unknown:
        await counters.charge(charges, now=now)
        return unknown
