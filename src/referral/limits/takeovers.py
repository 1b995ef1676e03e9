"""How many accounts somebody takes over who does nothing but guess codes, at most.

Not what is likely but a bound: the attacker has any number of addresses, spends every budget to
the last increment, wastes nothing, and starts when every bucket is full. A bucket of N gives N at
once and N more in each window: twice N in the worst one. Known devices are left out: their budgets
cannot be had without a device increment.

Two rules hold at once, so the smaller of two bounds counts. A phone takes only so many guesses at
its shortest codes before they grow. All phones together have only so many sends. The lengthening
for everybody is left out: it concerns new codes only, so an attacker who asks for all codes first,
and guesses afterwards, does not feel it.
"""

from __future__ import annotations

from collections.abc import Sequence

from referral.core.challenge import MAX_CODE_LENGTH
from referral.limits.gcra import DAY, HOUR, Bucket
from referral.limits.guess_policy import MORE_DIGITS, lengthening
from referral.limits.policy import Limits


def takeovers(limits: Limits, *, phones: int, seconds: int) -> float:
    """The expected number of accounts taken over, of so many phones attacked for so long."""
    guesses = limits.guesses_per_challenge
    sends = _most(Bucket(limits.sends_per_day, DAY), seconds) - limits.sends_reserved
    over_all = guesses * sends
    of_phones = [phones * number for number in _of_phone(limits, seconds)]
    return _expected([min(number, over_all) for number in of_phones], limits.code_length)


def _of_phone(limits: Limits, seconds: int) -> list[float]:
    """Guesses at one phone: at its shortest codes, with those two digits longer, and in all."""
    sends = [
        Bucket(limits.sends_per_phone_hour, HOUR),
        Bucket(limits.sends_per_phone_day, DAY),
    ]
    in_all = min(
        _most(Bucket(limits.failures_per_phone_day_max, DAY), seconds),
        *(limits.guesses_per_challenge * _most(bucket, seconds) for bucket in sends),
    )
    budgets = [bucket for _, bucket in lengthening(limits)]
    return [
        *(
            min(in_all, *(_most(bucket, seconds, times=times) for bucket in budgets))
            for times in (1, 2)
        ),
        in_all,
    ]


def _most(bucket: Bucket, seconds: int, *, times: int = 1) -> float:
    """Tokens that can be had in so long, of a bucket that holds `times` its size."""
    return bucket.size * (times + seconds / bucket.window)


def _expected(at_most: Sequence[float], shortest: int) -> float:
    """at_most: guesses at codes up to each of three lengths: `shortest`, and two digits more."""
    total, before = 0.0, 0.0
    for step, number in enumerate(at_most):
        length = min(shortest + step * MORE_DIGITS, MAX_CODE_LENGTH)
        total += max(number - before, 0) / 10**length
        before = max(number, before)
    return total
