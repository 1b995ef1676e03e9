"""Whether the service can do its work."""

from __future__ import annotations

from referral.storage import database, migrate


async def is_ready() -> bool:
    """Whether the database answers and has every migration."""
    try:
        return not await migrate.pending()
    except database.UNAVAILABLE:
        return False
