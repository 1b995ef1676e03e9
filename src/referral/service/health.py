"""Readiness: whether this process can serve requests."""

from __future__ import annotations

import asyncio
from time import monotonic

from referral.storage import database, migrate

# Shorter than usual timeouts of health checks, unlike the time in which a frozen database fails
TIMEOUT_SECONDS = 3
# The endpoint is public and not rate-limited
_CHECK_INTERVAL_SECONDS = 1


class Readiness:
    """One process's check that the database is reachable and migrated.

    It queries the database at most once a second. Calls in between return the last result, or wait
    for the check in progress.
    """

    def __init__(self) -> None:
        self._checked_at = 0.0
        self._check: asyncio.Task[bool] | None = None

    async def is_ready(self) -> bool:
        now = monotonic()
        check = self._check
        if check is None or (check.done() and now - self._checked_at >= _CHECK_INTERVAL_SECONDS):
            self._checked_at = now
            check = self._check = database.spawn(_is_ready())
        if not check.done():
            # Not `wait_for`, which would cancel the check and wait until that has happened
            await asyncio.wait({check}, timeout=self._checked_at + TIMEOUT_SECONDS - now)
        return check.done() and not check.cancelled() and check.result()


async def _is_ready() -> bool:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return not await migrate.pending()
    except (database.Unavailable, TimeoutError):
        return False
