"""Whether the service can do its work."""

from __future__ import annotations

import asyncio

from referral.storage import database, migrate

# Those who ask give up soon, and a frozen database would keep the answer for longer
_LONGEST_SECONDS = 3


async def is_ready() -> bool:
    """Whether the database answers and has every migration."""
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            return not await migrate.pending()
    except (database.Unavailable, TimeoutError):
        return False
