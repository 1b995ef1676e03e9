"""Queries about the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from referral.core.cursor import Cursor
from referral.storage import database, pagination
from referral.storage.models import AuditEntry
from referral.storage.pagination import Page

_ENTRIES = """
    SELECT CAST(id AS TEXT) AS id, at, action, actor, CAST(user_id AS TEXT) AS user_id, address
    FROM audit_entries
"""
_FORGET_ADDRESSES = """
    UPDATE audit_entries SET address = NULL WHERE id IN (
        SELECT id FROM audit_entries WHERE at < $1 AND address IS NOT NULL LIMIT $2
    )
    RETURNING id
"""
_ERASE = f"""
    UPDATE audit_entries SET {", ".join(f"{column} = NULL" for column in AuditEntry.PERSONAL)}
    WHERE actor = $1
"""  # noqa: S608 - our own names


class NewEntry(Struct, frozen=True):
    """An entry for a statement that adds the user itself."""

    id: UUID
    at: datetime
    action: str
    address: str | None


async def add(entries: Iterable[AuditEntry]) -> None:
    await AuditEntry.bulk_create(entries)


async def page(user_id: UUID | None, *, after: Cursor | None, limit: int) -> Page:
    """The newest entries, of one user or of all."""
    sql, values = f"{_ENTRIES} WHERE TRUE", []
    if user_id is not None:
        sql, values = f"{_ENTRIES} WHERE user_id = $1", [user_id]
    return await pagination.newest(sql, *values, by="audit_entries.at", after=after, limit=limit)


async def erase(user_id: UUID) -> None:
    """Clear what the trail says about a person besides what they did: from where."""
    actor = f"user:{user_id}"
    await database.query(f"{_ERASE} AND user_id = $2", actor, user_id)
    # Only administrators do something to others. No index finds that, but they are few
    if await AuditEntry.exists(user_id=user_id, action="admin_granted"):
        await database.query(_ERASE, actor)


async def purge_addresses(*, before: datetime, most: int) -> int:
    """Clear the addresses of old entries; answers how many, `most` at a time."""
    return len(await database.query(_FORGET_ADDRESSES, before, most))
