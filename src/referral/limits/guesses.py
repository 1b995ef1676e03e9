"""Guesses at a code: those at one challenge or phone are judged one after another, under locks.

A guess is compared in memory, and no answer goes out before the database has agreed. The counters
of the challenge and of its phone are locked, in one order. If a budget is exhausted, the guess is
refused and charged to none. Otherwise a wrong guess is charged to the challenge, the phone and the
address, unconditionally; a right one charges nothing, spends the challenge and does its work. Until
the locks are held, right and wrong guesses take the same statements in the same order: a right one
that overtook the wrong ones in flight would not be one of the few that the budgets allow.
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
from referral.limits import counters, gcra, guess_policy, send_policy, sends
from referral.limits.counters import Advance
from referral.limits.gcra import HOUR, SECOND, Charge
from referral.limits.global_limits import FAILURES
from referral.limits.guess_policy import LimitScope
from referral.limits.pumping import guard
from referral.limits.sign_in_statement import Guess, Judged
from referral.storage import database

T = TypeVar("T")
FastPath = Callable[[Guess], Awaitable[tuple[Judged, T | None]]]
"""Judges a guess in one statement. None: it did not do the work of a right one."""

# How far beyond its guesses' tolerance a challenge's counter stands once it is found too short, and
# once it is used: further, so that a right guess that has passed still gets through, exactly once.
# It falls back within the tolerance an hour later, when the challenge is long too old; clocks that
# differ move it by seconds.
_TOO_SHORT = HOUR * SECOND
_SPENT = 3 * HOUR * SECOND


class _Refused(Exception):  # noqa: N818 - nothing broke
    """Ends the transaction of a guess that the budgets refuse: it is charged to none."""


async def redeem(
    ctx: Context,
    challenge: Challenge,
    code: str,
    work: Callable[[], Awaitable[T | Refusal]],
    *,
    caller: Caller,
    fast_path: FastPath[T] | None = None,
) -> T:
    """Take one guess at the challenge; if it is right, do `work` and spend the challenge.

    Both happen in one transaction, or neither: whatever refuses or breaks `work` leaves the
    challenge valid. A refusal that `work` returns leaves it valid too, and keeps what `work` wrote.
    All of it goes on if the client does not wait for the answer.
    fast_path: judges the guess instead, where there is one.
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
    asked_from = replace(scope, address=challenge.address)
    done: T | Refusal | None = None
    judged: Judged | None = None
    # Strangers' guesses share no row with those from a known device, and do not delay them
    async with ctx.keyed_locks.take(scope.of_phone("guesses")):
        guess = _compare(ctx, challenge, code, scope)
        if fast_path is not None:
            judged, done = await fast_path(guess)
        if judged is None or (judged.is_taken and guess.is_right and done is None):
            judged, done = await _judge_in_steps(guess, work, has_passed=judged is not None)
    if not judged.is_taken:
        await _refuse(ctx, scope, asked_from, guess, caller)
    if not guess.is_right:
        ctx.global_limits.add(FAILURES)
        left = guess_policy.guesses_left(guess.locked[0], judged.challenge_tat, now=guess.now) - 1
        raise WrongCode.with_attempts_left(left)
    if isinstance(done, Refusal):
        raise done
    guard.signed_in(ctx, asked_from)
    base = guess.now + guess.locked[0].bucket.tolerance
    is_refunded = judged.challenge_tat > base + _TOO_SHORT // 2
    refunds = send_policy.verified(ctx.limits, asked_from, is_refunded=is_refunded)
    # An error would make the caller repeat what is done and cannot be repeated
    with suppress(database.Unavailable):
        await counters.refund(refunds, now=guess.now)
    return cast("T", done)  # may be None


def _compare(ctx: Context, challenge: Challenge, code: str, scope: LimitScope) -> Guess:
    now = gcra.microseconds(ctx.clock())
    locked = guess_policy.guess(
        ctx.limits, scope, challenge_id=challenge.id, code_length=challenge.code_length
    )
    of_challenge, *_ = locked
    base = now + of_challenge.bucket.tolerance
    return Guess(
        is_right=challenges.code_matches(challenge, code, keys=ctx.keys),
        locked=locked,
        of_address=guess_policy.failure_of_address(ctx.limits, scope),
        spent=Advance(of_challenge.key, base + _SPENT, below=base + 2 * _TOO_SHORT),
        now=now,
    )


async def _judge_in_steps(
    guess: Guess, work: Callable[[], Awaitable[T | Refusal]], *, has_passed: bool
) -> tuple[Judged, T | Refusal | None]:
    """Judge a guess, and do the work of a right one, in one transaction.

    has_passed: the budgets of this right guess were checked under the locks before. They are not
    checked again: a refusal would take longer than that of a wrong guess, and so tell.
    """

    async def judge() -> tuple[Judged, T | Refusal | None]:
        tats = await counters.lock(each.key for each in guess.locked)
        judged = Judged(True, tats[guess.spent.key])
        if has_passed and judged.challenge_tat >= guess.spent.below:
            raise ChallengeSpent
        if not has_passed and await _is_exhausted(guess, tats):
            raise _Refused
        if not guess.is_right:
            # The address last: its row is not locked yet, and others may hold it
            for charges in filter(None, (guess.locked, guess.of_address)):
                await counters.charge(send_policy.unconditional(charges), now=guess.now)
            return judged, None
        done = await work()
        if not isinstance(done, Refusal):
            await counters.advance(guess.spent)
        return judged, done

    # Most refused guesses end at a look without locks, and write nothing
    if not has_passed and await _is_exhausted(guess):
        return Judged(False, 0), None
    try:
        return await database.transaction(judge)
    except _Refused:
        return Judged(False, 0), None


async def _is_exhausted(guess: Guess, locked: Mapping[str, int] | None = None) -> bool:
    """Whether a budget is exhausted. locked: counters that are locked, as they stand."""
    charges = [*guess.locked, *guess.of_address]
    tats = dict(locked or {})
    if keys := [each.key for each in charges if each.key not in tats]:
        tats |= await counters.read(keys)
    return guess_policy.first_exhausted(charges, tats, now=guess.now) is not None


async def _refuse(
    ctx: Context, scope: LimitScope, asked_from: LimitScope, guess: Guess, caller: Caller
) -> NoReturn:
    """Say why a guess was not taken. Writes nothing, but for a code that has become too short."""
    at = ctx.clock()
    now = gcra.microseconds(at)
    keys = send_policy.send_keys(ctx.limits, scope)
    charges = [*guess.locked, *guess.of_address]
    tats = await counters.read([*(each.key for each in charges), *keys])
    of_challenge = charges[0]
    used = tats.get(of_challenge.key, 0) - now - of_challenge.bucket.tolerance
    if used > 2 * _TOO_SHORT:
        raise ChallengeSpent
    exhausted = guess_policy.first_exhausted(charges, tats, now=now) or of_challenge
    observability.limited(exhausted.name, exhausted.key, caller=caller, now=now)
    if exhausted.name in {guess_policy.OF_ADDRESS, guess_policy.OF_DAY}:
        refusal = TooManyRequests if exhausted.name == guess_policy.OF_ADDRESS else TooManyAttempts
        # The challenge's own budget and too short codes come first: none of those is exhausted
        raise refusal.by(
            exhausted.limit, retry_after=guess_policy.retry_after(charges, tats, now=now)
        )
    if exhausted is not of_challenge:
        await _allow_resend(ctx, asked_from, of_challenge, now)
        tats = await counters.read(keys)
    wait = sends.retry_after(ctx, scope, tats, at=at)
    raise TooManyAttempts.by(exhausted.limit, retry_after=wait)


async def _allow_resend(ctx: Context, asked_from: LimitScope, guesses: Charge, now: int) -> None:
    """Let the owner of a code that has become too short ask for a longer one, once a challenge."""
    base = now + guesses.bucket.tolerance
    too_short = Advance(guesses.key, base + _TOO_SHORT, below=base + _TOO_SHORT // 2)
    if await counters.advance(too_short):
        await sends.refund_too_short(ctx, asked_from, now=now)
