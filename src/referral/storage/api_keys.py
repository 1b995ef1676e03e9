"""Queries about API keys."""

from __future__ import annotations

from datetime import datetime

from referral.storage import database
from referral.storage.models import ApiKey


async def add(name: str, digest: str, *, now: datetime) -> bool:
    """False, and nothing done, where there is one of this name."""
    await ApiKey.bulk_create(
        [ApiKey(name=name, digest=digest, created_at=now)], ignore_conflicts=True
    )
    return await ApiKey.exists(name=name, digest=digest)


async def find_name(digest: str) -> str | None:
    """The name of the key of which this is the digest."""
    rows = await database.query("SELECT name FROM api_keys WHERE digest = $1", digest)
    return rows[0]["name"] if rows else None


async def all_keys() -> list[ApiKey]:
    """The oldest first."""
    return await ApiKey.all().order_by("created_at", "name")


async def remove(name: str) -> bool:
    return bool(await ApiKey.filter(name=name).delete())
