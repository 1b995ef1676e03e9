"""Queries about the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from referral.core.cursor import Cursor
from referral.storage import pages
from referral.storage.models import AuditEntry


async def add(entries: Iterable[AuditEntry]) -> None:
    await AuditEntry.bulk_create(entries)


async def page(user_id: UUID | None, *, after: Cursor | None, limit: int) -> list[AuditEntry]:
    """The newest entries, of one user or of all."""
    rows = AuditEntry.all() if user_id is None else AuditEntry.filter(user_id=user_id)
    return await pages.newest(rows, by="at", after=after, limit=limit)
