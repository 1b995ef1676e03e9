"""Leases: what one process at a time should do."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from referral.storage import database

_TAKE = """
    INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
    WHERE leases.holder = excluded.holder OR leases.expires_at <= $4
    RETURNING name
"""
_GIVE_BACK = "DELETE FROM leases WHERE name = $1 AND holder = $2"


async def take(name: str, holder: UUID, *, now: datetime, until: datetime) -> bool:
    """Take or renew a lease; False, and nothing done, where another holder has it still."""
    return bool(await database.query(_TAKE, name, holder, until, now))


async def release(name: str, holder: UUID) -> None:
    """End a lease before its time, so that nobody waits for it."""
    await database.query(_GIVE_BACK, name, holder)
