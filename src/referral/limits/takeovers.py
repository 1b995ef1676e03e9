"""An upper bound of the accounts that an attacker can take over by guessing codes.

The attacker has any number of addresses, uses up every budget without waste, and starts when every
bucket has refilled. A bucket of N gives N immediately and N more in each window: twice N in the
worst one. Known devices are left out: their budgets cannot be used without a device token.

Two limits hold together, so the smaller bound counts. A phone allows only so many guesses at its
shortest codes before its codes get longer, and all phones together get only so many messages. The
alarm that lengthens everybody's codes is left out: it concerns only new codes, so it does not
affect an attacker who first asks for all codes and guesses afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from referral.core.challenge import MAX_CODE_LENGTH
from referral.limits.gcra import DAY, HOUR, Bucket
from referral.limits.guess_policy import MORE_DIGITS, lengthening_budgets
from referral.limits.policy import Limits


def takeovers(limits: Limits, *, phones: int, seconds: int) -> float:
    """Return the expected number of accounts taken over.

    phones, seconds: how many phones are attacked, and for how long.
    """
    sends = _at_most(Bucket(limits.sends_per_day, DAY), seconds) - limits.sends_reserved
    overall = limits.guesses_per_challenge * sends
    guesses = [phones * number for number in _guesses_at_phone(limits, seconds)]
    return _expected([min(number, overall) for number in guesses], limits.code_length)


def _guesses_at_phone(limits: Limits, seconds: int) -> list[float]:
    """Return how many guesses one phone allows, by the lengths of codes.

    First at codes of the shortest length, then at those of at most two digits more, then at all.
    """
    sends = [
        Bucket(limits.sends_per_phone_hour, HOUR),
        Bucket(limits.sends_per_phone_day, DAY),
    ]
    in_all = min(
        _at_most(Bucket(limits.failures_per_phone_day_max, DAY), seconds),
        *(limits.guesses_per_challenge * _at_most(bucket, seconds) for bucket in sends),
    )
    budgets = [bucket for _, bucket in lengthening_budgets(limits)]
    return [
        *(
            min(in_all, *(_at_most(bucket, seconds, times=times) for bucket in budgets))
            for times in (1, 2)
        ),
        in_all,
    ]


def _at_most(bucket: Bucket, seconds: int, *, times: int = 1) -> float:
    """Return how many units a bucket gives in this time if it holds `times` times its size."""
    return bucket.size * (times + seconds / bucket.window)


def _expected(guesses: Sequence[float], shortest: int) -> float:
    """Return the expected number of right guesses.

    guesses: how many at codes of at most `shortest` digits, two digits more, and four more.
    """
    total, before = 0.0, 0.0
    for step, number in enumerate(guesses):
        length = min(shortest + step * MORE_DIGITS, MAX_CODE_LENGTH)
        total += max(number - before, 0) / 10**length
        before = max(number, before)
    return total
