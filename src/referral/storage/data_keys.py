"""The kept secrets, as the database holds them: encrypted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from referral.storage.models import DataKey


async def all_encrypted() -> list[DataKey]:
    """The oldest first."""
    return await DataKey.all().order_by("created_at", "id")


async def add(secret_id: UUID, encrypted: str, *, now: datetime) -> None:
    await DataKey.create(id=secret_id, encrypted=encrypted, created_at=now)


async def replace(rows: Iterable[tuple[UUID, str]]) -> None:
    for secret_id, encrypted in rows:
        await DataKey.filter(id=secret_id).update(encrypted=encrypted)
