"""Queries for API keys."""

from __future__ import annotations

from datetime import datetime

from referral.storage import database
from referral.storage.models import ApiKey


async def add(name: str, digest: str, *, now: datetime) -> bool:
    """Add a key. Return False if there is one with this name already."""
    await ApiKey.bulk_create(
        [ApiKey(name=name, digest=digest, created_at=now)], ignore_conflicts=True
    )
    return await ApiKey.exists(name=name, digest=digest)


async def find_name(digest: str) -> str | None:
    """Return the name of the key with this digest."""
    rows = await database.query("SELECT name FROM api_keys WHERE digest = $1", digest)
    return rows[0]["name"] if rows else None


async def all_keys() -> list[ApiKey]:
    """Return every key, the oldest first."""
    return await ApiKey.all().order_by("created_at", "name")


async def remove(name: str) -> bool:
    """Remove a key. Return whether there was one with this name."""
    return bool(await ApiKey.filter(name=name).delete())
