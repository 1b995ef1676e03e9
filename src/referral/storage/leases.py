"""Queries for leases. The process that holds one does a job that only one does at a time."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from referral.storage import database

_ACQUIRE = """
    INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
    WHERE leases.holder = excluded.holder OR leases.expires_at <= $4
    RETURNING name
"""
_RELEASE = "DELETE FROM leases WHERE name = $1 AND holder = $2"


async def acquire(name: str, holder: UUID, *, now: datetime, until: datetime) -> bool:
    """Acquire or renew a lease. Return False if another holder's has not expired."""
    return bool(await database.query(_ACQUIRE, name, holder, until, now))


async def release(name: str, holder: UUID) -> None:
    """Release a lease before it expires, so that others need not wait until then."""
    await database.query(_RELEASE, name, holder)
