"""Queries about sessions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from referral.core.cursor import Cursor
from referral.storage import database, pages
from referral.storage.models import Session

# Asked a second time, of the row as it is once its lock is had: one refreshed meanwhile stays
_FORGET = """
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE created_at < $1 OR last_used_at < $2 LIMIT $3
    )
    AND (created_at < $1 OR last_used_at < $2)
    RETURNING id
"""


async def add(session: Session) -> None:
    await session.save(force_create=True)


async def find(session_id: UUID) -> Session | None:
    """The session with its user."""
    return await Session.get_or_none(id=session_id).select_related("user")


async def rotate(session_id: UUID, *, live: bytes, successor: bytes, now: datetime) -> bool:
    """Put the successor's digest in the live one's place; False where another call did."""
    rotated = await Session.filter(id=session_id, refresh_digest=live).update(
        refresh_digest=successor, last_used_at=now
    )
    return bool(rotated)


async def page(user_id: UUID, *, after: Cursor | None, limit: int) -> list[Session]:
    """The user's sessions, newest first."""
    rows = Session.filter(user_id=user_id)
    return await pages.newest(rows, by="created_at", after=after, limit=limit)


async def end(session_id: UUID, *, user_id: UUID) -> bool:
    return bool(await Session.filter(id=session_id, user_id=user_id).delete())


async def end_all(user_id: UUID, *, but: UUID | None = None) -> None:
    rows = Session.filter(user_id=user_id)
    await (rows.exclude(id=but) if but else rows).delete()


async def forget(*, signed_in_before: datetime, used_before: datetime, most: int) -> int:
    """Delete sessions that are over by their age; answers how many, `most` at a time."""
    return len(await database.query(_FORGET, signed_in_before, used_before, most))
