"""Fresh sign-ins, which operations that cannot be undone require."""

from __future__ import annotations

from datetime import datetime, timedelta

from referral.core.errors import SignInAgain

MAX_AGE = timedelta(minutes=15)


def is_fresh(*, signed_in_at: datetime, now: datetime) -> bool:
    """Return whether a sign-in is recent enough for operations that cannot be undone."""
    return now - signed_in_at < MAX_AGE


def require(signed_in_at: datetime | None, *, now: datetime) -> None:
    """Require a fresh sign-in. Raises SignInAgain.

    signed_in_at: None for an API key or a command, which have no sign-in and always pass.
    """
    if signed_in_at is not None and not is_fresh(signed_in_at=signed_in_at, now=now):
        raise SignInAgain
