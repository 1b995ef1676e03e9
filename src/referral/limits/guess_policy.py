"""Rules for charges of guesses, and for the length of codes after failures.

An attacker who guesses a phone's codes is slowed down by longer codes. The phone is not locked,
since then anybody could lock its owner out. A phone has two sets of budgets with the same numbers:
one for devices on which it signed in before, one for strangers. Limits by address do not apply to
known devices.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from referral.core.challenge import MAX_CODE_LENGTH
from referral.limits import gcra
from referral.limits.gcra import DAY, HOUR, MONTH, SECOND, Bucket, Charge
from referral.limits.policy import LimitName, Limits
from referral.limits.scope import LimitScope

# How much longer codes get at each step, and how many steps there are
MORE_DIGITS = 2
MAX_STEPS = 2
INVITE_CODE_LIMITS = frozenset(
    {LimitName.USER_INVITE_FAILURES_HOUR, LimitName.ADDRESS_INVITE_FAILURES_HOUR}
)

# Longer than any challenge lives (600 seconds): its guesses do not refill meanwhile
_GUESS_SPACING = HOUR
_CLOCK_SKEW = 60 * SECOND


def charges(
    limits: Limits, scope: LimitScope, *, challenge_id: str, code_length: int
) -> list[Charge]:
    """Build the charges of a wrong guess to the challenge, which comes first, and to the phone.

    Once codes have to be longer, the two budgets that lengthen them refuse guesses at a code that
    is too short, and only count guesses at one that is long enough.
    """
    return [
        challenge_charge(limits, scope, challenge_id),
        *(
            replace(
                scope.phone_charge(name, bucket),
                tolerance=_tolerance(bucket, code_length, limits.code_length),
                max_tat=MAX_STEPS * bucket.tolerance,
            )
            for name, bucket in lengthening_budgets(limits)
        ),
        scope.phone_charge(
            LimitName.PHONE_FAILURES_DAY_MAX, Bucket(limits.failures_per_phone_day_max, DAY)
        ),
    ]


def address_charges(limits: Limits, scope: LimitScope) -> list[Charge]:
    """Build the charges of a wrong guess to the address."""
    return scope.address_charges(LimitName.ADDRESS_FAILURES_HOUR, limits.failures_per_address_hour)


def challenge_charge(limits: Limits, scope: LimitScope, challenge_id: str) -> Charge:
    """Build the charge of a wrong guess to its challenge.

    Its tolerance is a minute longer than its guesses take, so that a machine whose clock is behind
    does not refuse the last one.
    """
    name, size = LimitName.CHALLENGE_GUESSES, limits.guesses_per_challenge
    bucket = Bucket(size, size * _GUESS_SPACING)
    charge = gcra.new_charge(name, scope.counter_key(name, challenge_id), bucket)
    tolerance = bucket.tolerance + _CLOCK_SKEW
    return replace(charge, tolerance=tolerance, max_tat=tolerance)


def guesses_left(charge: Charge, tat: int, *, now: int) -> int:
    """Return how many guesses a challenge has left. tat: its counter's."""
    return charge.bucket.size - gcra.used(charge.bucket, tat - _CLOCK_SKEW, now)


def code_length(
    limits: Limits, scope: LimitScope, tats: Mapping[str, int], *, alarm: bool, now: int
) -> int:
    """Return how many digits a new code for this phone needs.

    tats: by key, at least those of the budgets that lengthen codes. alarm: whether there are too
    many failures for all phones together.
    """
    steps = max(
        min(gcra.used(bucket, tats.get(scope.phone_key(name), 0), now) // bucket.size, MAX_STEPS)
        for name, bucket in lengthening_budgets(limits)
    )
    if alarm and not scope.known_device:
        steps += 1
    return min(limits.code_length + steps * MORE_DIGITS, MAX_CODE_LENGTH)


def lengthening_budgets(limits: Limits) -> list[tuple[LimitName, Bucket]]:
    """Return the budgets of a phone's failures after which its codes get longer."""
    return [
        (LimitName.PHONE_FAILURES_DAY, Bucket(limits.failures_per_phone_day, DAY)),
        (LimitName.PHONE_FAILURES_MONTH, Bucket(limits.failures_per_phone_month, MONTH)),
    ]


def invite_code_charges(limits: Limits, scope: LimitScope, counted_by: str | None) -> list[Charge]:
    """Build the charges of a try of an invite code.

    counted_by: the person's id or phone; None charges the address.
    """
    if counted_by is None:
        return scope.address_charges(
            LimitName.ADDRESS_INVITE_FAILURES_HOUR, limits.invite_failures_per_address_hour
        )
    name = LimitName.USER_INVITE_FAILURES_HOUR
    bucket = Bucket(limits.invite_failures_per_user_hour, HOUR)
    return [gcra.new_charge(name, scope.counter_key(name, counted_by), bucket)]


def _tolerance(bucket: Bucket, length: int, shortest: int) -> int | None:
    """Return the tolerance of a budget for guesses at a code of this length, None for no bound."""
    steps = (length - shortest) // MORE_DIGITS
    if length >= MAX_CODE_LENGTH or steps >= MAX_STEPS:
        return None
    return bucket.tolerance * (max(steps, 0) + 1)
