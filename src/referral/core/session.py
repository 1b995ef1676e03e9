"""How long a sign-in is worth what."""

from __future__ import annotations

from datetime import datetime, timedelta

from referral.core.limits import Limits

# How old a sign-in may be for what cannot be undone
FRESH = timedelta(minutes=15)


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
