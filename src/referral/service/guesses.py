"""Guesses at a code: each charged before it is compared, the right one used once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

from msgspec.structs import replace

from referral.core import buckets, budgets, send_budgets
from referral.core import challenge as challenges
from referral.core.buckets import HOUR, SECOND, Charge
from referral.core.budgets import Subject
from referral.core.challenge import Challenge
from referral.core.errors import ChallengeSpent, TooManyAttempts, TooManyRequests, WrongCode
from referral.service import cost_guard, outcomes, sends
from referral.service.parts import Caller, Parts
from referral.service.totals import FAILURES
from referral.storage import counters, database
from referral.storage.counters import Raise

T = TypeVar("T")
AtOnce = Callable[[Raise], Awaitable[T | None]]

# How far beyond its guesses' room a challenge's counter stands once it is found too short, and
# once it is used: further, so that a right guess under way still gets through, exactly once. It
# falls back within the room an hour later, when the challenge is long too old; clocks that differ
# move it by seconds.
_TOO_SHORT = HOUR * SECOND
_SPENT = 3 * HOUR * SECOND
_CROWD_TRIES, _CROWD_SECONDS = 20, 0.15
# More at once are no crowd but an attack, each of whom would read twenty times
_crowd = asyncio.Semaphore(300)
_GIVE_BACK_SECONDS = 2


async def redeem(
    parts: Parts,
    challenge: Challenge,
    code: str,
    work: Callable[[], Awaitable[T]],
    *,
    caller: Caller,
    before: Callable[[], Awaitable[None]] | None = None,
    at_once: AtOnce[T] | None = None,
) -> T:
    """Take one guess at the challenge; where it is right, do `work` and spend the challenge.

    Both happen in one transaction, or neither: what refuses or breaks `work` leaves the challenge
    good and gives the guess back, also to a client that did not wait for the answer.
    before: done once the guess is found right, in transactions of its own, so that what it writes
    stays if it then refuses.
    at_once: tried next, it does both itself, or answers None and has done nothing.
    Raises InvalidRequest, WrongCode, ChallengeSpent, TooManyAttempts, TooManyRequests, and what
    `work` raises.
    """
    code = challenges.read_code(code, challenge.code_length)
    subject = Subject(
        phone=challenge.phone,
        address=caller.address,
        known_device=challenge.known_device,
        key=parts.counter_key,
        as_stranger=challenge.as_stranger,
    )
    return await database.to_its_end(
        _redeem(parts, challenge, code, work, before, at_once, subject, caller)
    )


async def _redeem(
    parts: Parts,
    challenge: Challenge,
    code: str,
    work: Callable[[], Awaitable[T]],
    before: Callable[[], Awaitable[None]] | None,
    at_once: AtOnce[T] | None,
    subject: Subject,
    caller: Caller,
) -> T:
    asked_from = replace(subject, address=challenge.address)
    now = buckets.microseconds(parts.clock())
    charges = budgets.guess(
        parts.limits, subject, challenge_id=challenge.id, code_length=challenge.code_length
    )
    # Charged and committed before the comparison: whoever asks many times at once gets no more
    # answers than whoever asks one after another
    guesses, *others = charges
    moments = await counters.charge(charges, now=now)
    if moments is None and not _crowd.locked():
        async with _crowd:
            moments = await _charge_in_crowd(parts, charges, now)
    if moments is None:
        await _refuse_guess(parts, subject, asked_from, charges, caller)
    if not challenges.is_code(challenge, code, keys=parts.keys):
        parts.totals.add(FAILURES)
        left = budgets.guesses_left(guesses, moments[guesses.key], now=now)
        raise WrongCode.with_attempts_left(left)

    base = now + guesses.bucket.room
    spent = Raise(guesses.key, base + _SPENT, below=base + _TOO_SHORT // 2)
    # Another guess found it too short meanwhile, which refunded its send
    spent_later = replace(spent, below=base + 2 * _TOO_SHORT)
    is_refunded = False

    async def spend_and_work() -> T:
        nonlocal is_refunded
        is_refunded = not await counters.raise_to(spent)
        if is_refunded and not await counters.raise_to(spent_later):
            raise ChallengeSpent
        return await work()

    try:
        if before is not None:
            await before()
        done = await at_once(spent) if at_once is not None else None
        if done is None:
            done = await database.transaction(spend_and_work)
    except ChallengeSpent:
        # By another call, with the same right code
        await _give_back_if_possible(others, now)
        raise
    except Exception:
        await _give_back_if_possible(charges, now)
        raise
    cost_guard.signed_in(parts, asked_from)
    # Not inside: the transaction would hold what many share, a phone's and an address's counters
    refunds = send_budgets.verified(parts.limits, asked_from, is_refunded=is_refunded)
    shared = [*others, *refunds]
    # An error would make the caller repeat what is done and cannot be repeated
    with suppress(database.Unavailable):
        await counters.give_back(shared, now=now)
    return done


async def _give_back_if_possible(charges: list[Charge], now: int) -> None:
    """Quickly or not at all: what broke may be the database, and somebody waits for the answer."""
    with suppress(database.Unavailable, TimeoutError):
        async with asyncio.timeout(_GIVE_BACK_SECONDS):
            await counters.give_back(charges, now=now)


async def _charge_in_crowd(parts: Parts, charges: list[Charge], now: int) -> dict[str, int] | None:
    """Charge where the address alone is full, as soon as it is not.

    A crowd behind one address: those being compared right now give back in an instant.
    """
    for _ in range(_CROWD_TRIES):
        full = await _full_of(charges, now)
        if full is None:
            moments = await counters.charge(charges, now=now)
            if moments is not None:
                return moments
        elif full != budgets.OF_ADDRESS:
            return None
        with parts.room.aside():
            await asyncio.sleep(_CROWD_SECONDS)
    return None


async def _full_of(charges: list[Charge], now: int) -> str | None:
    """The name of the first limit that refuses, None where none does any more."""
    moments = await counters.read(each.key for each in charges)
    full = budgets.first_full(charges, moments, now=now)
    return full.name if full is not None else None


async def _refuse_guess(
    parts: Parts, subject: Subject, asked_from: Subject, charges: list[Charge], caller: Caller
) -> NoReturn:
    """Say why a guess was not taken. Writes nothing, but for a code that has become too short."""
    at = parts.clock()
    now = buckets.microseconds(at)
    keys = send_budgets.send_keys(parts.limits, subject)
    moments = await counters.read([*(each.key for each in charges), *keys])
    guesses = charges[0]
    used = moments.get(guesses.key, 0) - now - guesses.bucket.room
    if used > 2 * _TOO_SHORT:
        raise ChallengeSpent
    full = budgets.first_full(charges, moments, now=now) or guesses
    outcomes.limited(full.name, full.key, caller=caller, now=now)
    if full.name in {budgets.OF_ADDRESS, budgets.OF_DAY}:
        refusal = TooManyRequests if full.name == budgets.OF_ADDRESS else TooManyAttempts
        # The challenge's own guesses and too short codes are told first, so none of those is full
        raise refusal.by(full, retry_after=budgets.retry_after(charges, moments, now=now))
    if full is not guesses:
        await _make_way(parts, asked_from, guesses, now)
        moments = await counters.read(keys)
    wait = sends.retry_after(parts, subject, moments, at=at)
    raise TooManyAttempts.by(full, retry_after=wait)


async def _make_way(parts: Parts, asked_from: Subject, guesses: Charge, now: int) -> None:
    """Let the owner of a code that has become too short ask for a longer one, once a challenge."""
    base = now + guesses.bucket.room
    too_short = Raise(guesses.key, base + _TOO_SHORT, below=base + _TOO_SHORT // 2)
    if await counters.raise_to(too_short):
        await sends.refund_too_short(parts, asked_from, now=now)
