"""Queries about the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from referral.core.cursor import Cursor
from referral.storage import database, pages
from referral.storage.models import AuditEntry

_FORGET_ADDRESSES = """
    UPDATE audit_entries SET address = NULL WHERE id IN (
        SELECT id FROM audit_entries WHERE at < $1 AND address IS NOT NULL LIMIT $2
    )
    RETURNING id
"""


async def add(entries: Iterable[AuditEntry]) -> None:
    await AuditEntry.bulk_create(entries)


async def page(user_id: UUID | None, *, after: Cursor | None, limit: int) -> list[AuditEntry]:
    """The newest entries, of one user or of all."""
    rows = AuditEntry.all() if user_id is None else AuditEntry.filter(user_id=user_id)
    return await pages.newest(rows, by="at", after=after, limit=limit)


async def forget_addresses(*, before: datetime, most: int) -> int:
    """Clear the addresses of old entries; answers how many, `most` at a time."""
    return len(await database.query(_FORGET_ADDRESSES, before, most))
