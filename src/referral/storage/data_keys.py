"""Queries for data keys, which the database holds encrypted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from referral.storage.models import DataKey


async def all_encrypted() -> list[DataKey]:
    """Return every data key, the oldest first."""
    return await DataKey.all().order_by("created_at", "id")


async def add(key_id: UUID, encrypted: str, *, now: datetime) -> None:
    await DataKey.create(id=key_id, encrypted=encrypted, created_at=now)


async def replace(rows: Iterable[tuple[UUID, str]]) -> None:
    """Replace the encrypted text of data keys, given with their ids."""
    for key_id, encrypted in rows:
        await DataKey.filter(id=key_id).update(encrypted=encrypted)
