"""Judging guesses at codes, one after another for each challenge and phone.

A guess is compared with the code in memory, and nothing that depends on the result leaves the
process before the database has allowed the guess:

1. The counters of the challenge and of its phone are locked, in the order of their keys.
2. If a budget of the challenge, the phone or the address is exhausted, the guess is refused and
   charged to none. The address's counter is read without a lock.
3. A wrong guess is charged to the challenge, the phone and the address, unconditionally. A right
   one is charged to none: it spends the challenge and does its work, such as a sign-in.

All of this is one transaction. Until the locks are held, right and wrong guesses send the same
statements in the same order. Otherwise a right guess could overtake concurrent wrong ones, and an
attacker who tries many codes at the same time would get more guesses than the budgets allow.

A challenge's counter also records that the code became too short or was spent: see the marks below.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import NoReturn, TypeVar, cast

from msgspec.structs import replace

from referral import observability
from referral.context import Caller, Context
from referral.core import challenge as challenges
from referral.core.challenge import Challenge
from referral.core.errors import (
    ChallengeSpent,
    Refusal,
    TooManyAttempts,
    TooManyRequests,
    WrongCode,
)
from referral.limits import (
    code_charges,
    counters,
    gcra,
    guess_policy,
    refunds,
    send_policy,
    sends,
    used_codes,
)
from referral.limits.counters import Advance
from referral.limits.gcra import HOUR, SECOND, Charge
from referral.limits.policy import LimitName
from referral.limits.scope import LimitScope
from referral.limits.sign_in_statement import Guess, Judged
from referral.storage import database

T = TypeVar("T")
FastPath = Callable[[Guess], Awaitable[tuple[Judged, T | None]]]
"""Judges a guess, and may do the work of a right one, in one statement. None: work not done."""

# Marks: how far beyond the tolerance of its guesses a challenge's counter is advanced once its code
# is found too short, and once it is spent. Both refuse further guesses, and come within the
# tolerance again only long after the challenge has expired. The mark of a spent one is further, so
# a right guess that was allowed before the code was found too short can still spend it once
_TOO_SHORT_MARK, _SPENT_MARK = 1 * HOUR * SECOND, 3 * HOUR * SECOND
# A counter beyond these has the mark. They are lower, since the distance of a TAT from now shrinks
# as time passes, and clocks differ
_TOO_SHORT_FROM, _SPENT_FROM = _TOO_SHORT_MARK // 2, 2 * HOUR * SECOND


class _Refused(Exception):  # noqa: N818 - not an error
    """Rolls back the transaction of a guess that is refused, so that nothing is written."""


async def redeem(
    ctx: Context,
    challenge: Challenge,
    code: str,
    work: Callable[[], Awaitable[T | Refusal]],
    *,
    caller: Caller,
    fast_path: FastPath[T] | None = None,
) -> T:
    """Judge a guess at the challenge; if it is right, do `work` and spend the challenge.

    Both happen in one transaction, or neither: if `work` raises, the challenge stays valid. It also
    stays valid if `work` returns a refusal, which is raised after what `work` wrote is committed.
    All of it goes on if the client disconnects.

    fast_path: tried first; if it leaves the work of a right guess undone, `work` does it.

    Raises InvalidRequest, WrongCode, ChallengeSpent, TooManyAttempts, TooManyRequests, and what
    `work` raises or returns.
    """
    code = challenges.parse_code(code, challenge.code_length)
    return await database.shielded(_redeem(ctx, challenge, code, work, caller, fast_path))


async def _redeem(
    ctx: Context,
    challenge: Challenge,
    code: str,
    work: Callable[[], Awaitable[T | Refusal]],
    caller: Caller,
    fast_path: FastPath[T] | None,
) -> T:
    scope = LimitScope(
        phone=challenge.phone,
        address=caller.address,
        known_device=challenge.known_device,
        key=ctx.counter_key,
        as_stranger=challenge.as_stranger,
    )
    send_scope = replace(scope, address=challenge.address)
    result: T | Refusal | None = None
    judged: Judged | None = None
    # Guesses of strangers share no row with those from a known device, and do not delay them
    async with ctx.keyed_locks.hold(scope.phone_key("guesses")):
        guess = _compare(ctx, challenge, code, scope)
        if fast_path is not None:
            judged, result = await fast_path(guess)
        if judged is None or (judged.is_allowed and guess.is_right and result is None):
            judged, result = await _judge_in_steps(guess, work, was_allowed=judged is not None)
    if not judged.is_allowed:
        await _refuse(ctx, challenge, scope, send_scope, guess, caller)
    challenge_charge = guess.charges_to_lock[0]
    if not guess.is_right:
        ctx.global_limits.add(LimitName.FAILURES_HOUR)
        left = guess_policy.guesses_left(challenge_charge, judged.challenge_tat, now=guess.now)
        raise WrongCode.with_attempts_left(left - 1)
    if isinstance(result, Refusal):
        raise result
    used_codes.count(ctx, challenge, send_scope)
    refunds = send_policy.refunds_once_verified(
        ctx.limits,
        send_scope,
        address_refunded=judged.challenge_tat > _mark(challenge_charge, guess.now, _TOO_SHORT_FROM),
    )
    # The work is committed and cannot be repeated, so a failed refund must not fail the request
    with suppress(database.Unavailable):
        await counters.refund(refunds, now=guess.now)
    return cast("T", result)  # may be None


def _compare(ctx: Context, challenge: Challenge, code: str, scope: LimitScope) -> Guess:
    now = gcra.microseconds(ctx.clock())
    charges_to_lock = guess_policy.charges(
        ctx.limits, scope, challenge_id=challenge.id, code_length=challenge.code_length
    )
    challenge_charge = charges_to_lock[0]
    return Guess(
        is_right=challenges.code_matches(challenge, code, keys=ctx.keys),
        charges_to_lock=charges_to_lock,
        address_charges=guess_policy.address_charges(ctx.limits, scope),
        spent=Advance(
            challenge_charge.key,
            _mark(challenge_charge, now, _SPENT_MARK),
            below=_mark(challenge_charge, now, _SPENT_FROM),
        ),
        now=now,
    )


async def _judge_in_steps(
    guess: Guess, work: Callable[[], Awaitable[T | Refusal]], *, was_allowed: bool
) -> tuple[Judged, T | Refusal | None]:
    """Judge a guess, and do the work of a right one, in one transaction.

    was_allowed: whether the fast path has allowed this guess, which is right. The budgets are not
    checked again: a refusal would take longer than that of a wrong guess, and so reveal that this
    one was right.
    """

    async def judge() -> tuple[Judged, T | Refusal | None]:
        tats = await counters.lock(each.key for each in guess.charges_to_lock)
        judged = Judged(True, tats[guess.spent.key])
        if was_allowed and judged.challenge_tat >= guess.spent.below:
            raise ChallengeSpent
        if not was_allowed and await _is_exhausted(guess, tats):
            raise _Refused
        if not guess.is_right:
            # The address last, since its counter is not locked yet and this may have to wait for it
            for charges in filter(None, (guess.charges_to_lock, guess.address_charges)):
                await counters.charge([each.unconditional() for each in charges], now=guess.now)
            return judged, None
        result = await work()
        if not isinstance(result, Refusal):
            await counters.advance(guess.spent)
        return judged, result

    # A check without locks refuses most guesses that exceed a budget, and writes nothing
    if not was_allowed and await _is_exhausted(guess):
        return Judged(False, 0), None
    try:
        return await database.transaction(judge)
    except _Refused:
        return Judged(False, 0), None


async def _is_exhausted(guess: Guess, locked_tats: Mapping[str, int] | None = None) -> bool:
    """Return whether a budget is exhausted. Reads the counters that are not in `locked_tats`."""
    tats = dict(locked_tats or {})
    if keys := [each.key for each in guess.charges if each.key not in tats]:
        tats |= await counters.read(keys)
    return gcra.first_exhausted(guess.charges, tats, now=guess.now) is not None


async def _refuse(
    ctx: Context,
    challenge: Challenge,
    scope: LimitScope,
    send_scope: LimitScope,
    guess: Guess,
    caller: Caller,
) -> NoReturn:
    """Raise the refusal of a guess. Writes nothing, unless its code has become too short."""
    at = ctx.clock()
    now = gcra.microseconds(at)
    send_keys = send_policy.keys(ctx.limits, scope)
    tats = await counters.read([*(each.key for each in guess.charges), *send_keys])
    challenge_charge = guess.charges_to_lock[0]
    if tats.get(challenge_charge.key, 0) > _mark(challenge_charge, now, _SPENT_FROM):
        raise ChallengeSpent
    # None is exhausted any more if a bucket has refilled since the guess was judged
    exhausted = gcra.first_exhausted(guess.charges, tats, now=now) or challenge_charge
    observability.rate_limited(exhausted.name, exhausted.key, caller=caller, now=now)
    wait = gcra.wait(guess.charges, tats, now=now)
    # The challenge's own budget and too short codes come first: none of those is exhausted here
    if exhausted.name == LimitName.ADDRESS_FAILURES_HOUR:
        raise TooManyRequests.by(exhausted.limit, retry_after=wait)
    if exhausted.name == LimitName.PHONE_FAILURES_DAY_MAX:
        raise TooManyAttempts.by(exhausted.limit, retry_after=wait)
    if exhausted is not challenge_charge:
        await _allow_resend(ctx, challenge, send_scope, challenge_charge, now)
        tats = await counters.read(send_keys)
    wait = sends.retry_after(ctx, scope, tats, at=at)
    raise TooManyAttempts.by(exhausted.limit, retry_after=wait)


async def _allow_resend(
    ctx: Context, challenge: Challenge, send_scope: LimitScope, challenge_charge: Charge, now: int
) -> None:
    """Allow a send that replaces a code that has become too short, once for each challenge."""
    too_short = Advance(
        challenge_charge.key,
        _mark(challenge_charge, now, _TOO_SHORT_MARK),
        below=_mark(challenge_charge, now, _TOO_SHORT_FROM),
    )
    if await counters.advance(too_short):
        weights = ctx.channels.rules.weights
        channel = await code_charges.find_channel(ctx, challenge)
        # The least, if another channel may still be tried
        weight = weights[channel] if channel else min(weights.values())
        await refunds.refund_too_short(
            ctx, send_scope, challenge_id=challenge.id, weight=weight, now=now
        )


def _mark(challenge_charge: Charge, now: int, distance: int) -> int:
    """Return the TAT at this distance beyond the tolerance of a challenge's guesses."""
    return now + challenge_charge.bucket.tolerance + distance
