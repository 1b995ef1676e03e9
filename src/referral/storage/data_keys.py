"""The kept secrets, as the database holds them: sealed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from referral.storage.models import KeptSecret


async def all_sealed() -> list[KeptSecret]:
    """The oldest first."""
    return await KeptSecret.all().order_by("created_at", "id")


async def add(secret_id: UUID, sealed: str, *, now: datetime) -> None:
    await KeptSecret.create(id=secret_id, sealed=sealed, created_at=now)


async def replace(rows: Iterable[tuple[UUID, str]]) -> None:
    for secret_id, sealed in rows:
        await KeptSecret.filter(id=secret_id).update(sealed=sealed)
