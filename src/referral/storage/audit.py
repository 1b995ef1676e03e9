"""Queries for the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from referral.core.cursor import Cursor
from referral.storage import columns, database, pagination
from referral.storage.models import AuditEntry
from referral.storage.pagination import Page

_ENTRIES = f"SELECT {columns.select_list(AuditEntry)} FROM audit_entries"  # noqa: S608 - our names
_CLEAR_ADDRESSES = """
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
    """An entry to add, without the user, whom the statement that adds it fills in."""

    id: UUID
    at: datetime
    action: str
    address: str | None


async def add(entries: Iterable[AuditEntry]) -> None:
    await AuditEntry.bulk_create(entries)


async def page(user_id: UUID | None, *, after: Cursor | None, limit: int) -> Page:
    """Return a page of the entries of one user or of all, newest first."""
    sql, values = f"{_ENTRIES} WHERE TRUE", []
    if user_id is not None:
        sql, values = f"{_ENTRIES} WHERE user_id = $1", [user_id]
    return await pagination.paginate(sql, *values, by="audit_entries.at", after=after, limit=limit)


async def erase(user_id: UUID) -> None:
    """Clear the personal columns of the entries whose actor is this user."""
    actor = f"user:{user_id}"
    await database.query(f"{_ERASE} AND user_id = $2", actor, user_id)
    # Only administrators act on other users. No index finds those entries, but such users are few
    if await AuditEntry.exists(user_id=user_id, action="admin_granted"):
        await database.query(_ERASE, actor)


async def purge_addresses(*, before: datetime, batch_size: int) -> int:
    """Clear the addresses of at most `batch_size` old entries. Return how many were cleared."""
    return len(await database.query(_CLEAR_ADDRESSES, before, batch_size))
