"""Whether the service can do its work."""

from __future__ import annotations

import asyncio
from time import monotonic

from referral.storage import database, migrate

# Those who ask give up soon, and a frozen database would keep the answer for longer
LONGEST_SECONDS = 3
# Anybody may ask, as often as they like
_PAUSE_SECONDS = 1


class Readiness:
    """Whether the database answers and has every migration, as one process sees it.

    It looks at most once a second. Whoever asks meanwhile gets the last answer, or waits for the
    look that is under way.
    """

    def __init__(self) -> None:
        self._begun_at = 0.0
        self._look: asyncio.Task[bool] | None = None

    async def is_ready(self) -> bool:
        now = monotonic()
        look = self._look
        if look is None or (look.done() and now - self._begun_at >= _PAUSE_SECONDS):
            self._begun_at = now
            look = self._look = database.spawn(_look())
        if not look.done():
            # A look may take longer to be cancelled than anybody waits
            await asyncio.wait({look}, timeout=self._begun_at + LONGEST_SECONDS - now)
        return look.done() and not look.cancelled() and look.result()


async def _look() -> bool:
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            return not await migrate.pending()
    except (database.Unavailable, TimeoutError):
        return False
