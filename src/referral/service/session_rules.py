"""The rules of sessions: their lifetime, repeated refresh tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from referral.limits import gcra
from referral.limits.gcra import DAY, Bucket
from referral.limits.policy import Limits

# How often a client may repeat a session's replaced refresh token after REFRESH_GRACE: three times,
# and then once every 8 hours
_LATE_REPEATS = Bucket(3, DAY)


class ExpiryCutoff(NamedTuple):
    """The times of expiry: a session that began or was last used by then has expired."""

    signed_in_at: datetime
    last_used_at: datetime


def expiry_cutoff(limits: Limits, *, now: datetime) -> ExpiryCutoff:
    """Return the times of expiry under these limits."""
    return ExpiryCutoff(
        now - timedelta(days=limits.session_max_days),
        now - timedelta(days=limits.session_idle_days),
    )


def is_alive(
    *, signed_in_at: datetime, last_used_at: datetime, limits: Limits, now: datetime
) -> bool:
    """Return whether a session has not expired."""
    cutoff = expiry_cutoff(limits, now=now)
    return last_used_at > cutoff.last_used_at and signed_in_at > cutoff.signed_in_at


def charge_late_repeat(tat: int, *, now: datetime) -> int | None:
    """Charge a late repeat of a refresh token.

    tat: the session's theoretical arrival time, see limits/gcra.py. Return the new one, which is
    always greater, or None if the limit is exhausted.
    """
    at = gcra.microseconds(now)
    charged = max(tat, at) + _LATE_REPEATS.increment
    return charged if charged <= at + _LATE_REPEATS.tolerance else None
