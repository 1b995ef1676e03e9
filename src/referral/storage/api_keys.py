"""Queries for API keys."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from referral.storage import database
from referral.storage.models import ApiKey


class FoundKey(NamedTuple):
    """A key's name, and whether it opens only events, redemptions and their reversals."""

    name: str
    events_only: bool


async def add(name: str, digest: str, *, events_only: bool, now: datetime) -> bool:
    """Add a key. Return False if there is one with this name already."""
    key = ApiKey(name=name, digest=digest, events_only=events_only, created_at=now)
    await ApiKey.bulk_create([key], ignore_conflicts=True)
    return await ApiKey.exists(name=name, digest=digest)


async def find(digest: str) -> FoundKey | None:
    """Return the key with this digest."""
    rows = await database.query("SELECT name, events_only FROM api_keys WHERE digest = $1", digest)
    return FoundKey(rows[0]["name"], bool(rows[0]["events_only"])) if rows else None


async def all_keys() -> list[ApiKey]:
    """Return every key, the oldest first."""
    return await ApiKey.all().order_by("created_at", "name")


async def remove(name: str) -> bool:
    """Remove a key. Return whether there was one with this name."""
    return bool(await ApiKey.filter(name=name).delete())
