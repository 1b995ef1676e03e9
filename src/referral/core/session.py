"""How long a sign-in is worth what, and how often a lost answer is made good."""

from __future__ import annotations

from datetime import datetime, timedelta

from referral.core import buckets
from referral.core.buckets import DAY, Bucket
from referral.core.limits import Limits

# How old a sign-in may be for what cannot be undone
FRESH = timedelta(minutes=15)

# How often, in a session, a refresh token may come again after more than REFRESH_GRACE
_LATE_REPEATS = Bucket(3, DAY)


def is_fresh(*, signed_in_at: datetime, now: datetime) -> bool:
    """Whether the sign-in is recent enough for what cannot be undone."""
    return now - signed_in_at < FRESH


def is_alive(
    *, signed_in_at: datetime, last_used_at: datetime, limits: Limits, now: datetime
) -> bool:
    """Whether a session that nobody ended still lives."""
    return now < last_used_at + timedelta(
        days=limits.session_idle_days
    ) and now < signed_in_at + timedelta(days=limits.session_max_days)


def late_repeat(tat: int, *, now: datetime) -> int | None:
    """Count a refresh token that comes again late; None if it is one time too many.

    tat: what the session keeps of those before. Answers what it keeps then, always more.
    """
    at = buckets.microseconds(now)
    counted = max(tat, at) + _LATE_REPEATS.token
    return counted if counted <= at + _LATE_REPEATS.room else None
