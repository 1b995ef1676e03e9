"""How long a sign-in is worth what, and how often a lost answer is made good."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from referral.limits import gcra
from referral.limits.gcra import DAY, Bucket
from referral.limits.policy import Limits

# How old a sign-in may be for what cannot be undone
FRESH = timedelta(minutes=15)

# How often, in a session, a refresh increment may come again after more than REFRESH_GRACE
_LATE_REPEATS = Bucket(3, DAY)


class Oldest(NamedTuple):
    """A session that signed in or was last used before these times has expired."""

    signed_in_at: datetime
    last_used_at: datetime


def oldest(limits: Limits, *, now: datetime) -> Oldest:
    return Oldest(
        now - timedelta(days=limits.session_max_days),
        now - timedelta(days=limits.session_idle_days),
    )


def is_fresh(*, signed_in_at: datetime, now: datetime) -> bool:
    """Whether the sign-in is recent enough for what cannot be undone."""
    return now - signed_in_at < FRESH


def is_alive(
    *, signed_in_at: datetime, last_used_at: datetime, limits: Limits, now: datetime
) -> bool:
    """Whether a session that nobody ended still lives."""
    limit = oldest(limits, now=now)
    return last_used_at > limit.last_used_at and signed_in_at > limit.signed_in_at


def late_repeat(tat: int, *, now: datetime) -> int | None:
    """Count a refresh increment that comes again late; None if it is one time too many.

    tat: what the session keeps of those before. Answers what it keeps then, always more.
    """
    at = gcra.microseconds(now)
    counted = max(tat, at) + _LATE_REPEATS.increment
    return counted if counted <= at + _LATE_REPEATS.tolerance else None
