"""Queries for the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from referral.core.cursor import Cursor
from referral.core.days import Days
from referral.storage import columns, database, pagination
from referral.storage.models import AuditEntry
from referral.storage.pagination import Page

_ENTRIES = f"SELECT {columns.select_list(AuditEntry)} FROM audit_entries"  # noqa: S608 - our names
_DELETED = "account_deleted"
# All other reasons are cleared when the user concerned is deleted
_CLEAR_OLD = f"""
    UPDATE audit_entries
    SET address = NULL, reason = CASE WHEN action <> '{_DELETED}' THEN reason END
    WHERE id IN (
        SELECT id FROM audit_entries
        WHERE at < $1
        AND (address IS NOT NULL OR (action = '{_DELETED}' AND reason IS NOT NULL))
        LIMIT $2
    )
    RETURNING id
"""  # noqa: S608 - our own name
_CLEAR_ADDRESSES = "UPDATE audit_entries SET address = NULL WHERE actor = $1"
_CLEAR_REASONS = f"""
    UPDATE audit_entries SET reason = NULL WHERE user_id = $1 AND action <> '{_DELETED}'
"""  # noqa: S608 - our own name


class NewEntry(Struct, frozen=True):
    """An entry to add, without the user, whom the statement that adds it fills in."""

    id: UUID
    at: datetime
    action: str
    address: str | None


async def add(entries: Iterable[AuditEntry]) -> None:
    await AuditEntry.bulk_create(entries)


async def page(
    *,
    user_id: UUID | None,
    action: str | None,
    actor: str | None,
    days: Days | None,
    after: Cursor | None,
    limit: int,
) -> Page:
    """Return a page of the entries that match all that is given, newest first."""
    wanted = {
        "user_id =": user_id,
        "action =": action,
        "actor =": actor,
        "at >=": days and days.start,
        "at <=": days and days.end,
    }
    given = {condition: value for condition, value in wanted.items() if value is not None}
    conditions = [f"{condition} ${place}" for place, condition in enumerate(given, 1)]
    return await pagination.paginate(
        f"{_ENTRIES} WHERE {' AND '.join(conditions or ['TRUE'])}",
        *given.values(),
        by="audit_entries.at",
        after=after,
        limit=limit,
    )


async def erase(user_id: UUID) -> None:
    """Clear the addresses of this user's actions, and why others did something to the user.

    The reason of the deletion itself stays for a while: see `purge_addresses`.
    """
    actor = f"user:{user_id}"
    await database.query(_CLEAR_REASONS, user_id)
    await database.query(f"{_CLEAR_ADDRESSES} AND user_id = $2", actor, user_id)
    # Only administrators act on other users. No index finds those entries, but such users are few
    if await AuditEntry.exists(user_id=user_id, action="admin_granted"):
        await database.query(_CLEAR_ADDRESSES, actor)


async def purge_addresses(*, before: datetime, batch_size: int) -> int:
    """Clear the addresses, and the reasons of deletions, of at most `batch_size` old entries.

    Return how many were cleared.
    """
    return len(await database.query(_CLEAR_OLD, before, batch_size))
