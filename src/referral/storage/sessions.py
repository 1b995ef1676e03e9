"""Queries about sessions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from referral.core.cursor import Cursor
from referral.core.retention import Horizon
from referral.storage import clearing, database, pages
from referral.storage.models import Session

_ADD = """
    INSERT INTO sessions (id, user_id, family_digest, refresh_digest, user_agent, proves_phone,
                          created_at, last_used_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
"""
_ROTATE = """
    UPDATE sessions SET refresh_digest = $3, last_used_at = $4
    WHERE id = $1 AND refresh_digest = $2 AND family_digest = $5
    AND created_at > $6 AND last_used_at > $7
    AND EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND NOT users.is_blocked)
    RETURNING user_id
"""


class NewSession(Struct, frozen=True, kw_only=True):
    """A session before it is anybody's."""

    id: UUID
    family_digest: bytes
    refresh_digest: bytes
    user_agent: str | None
    proves_phone: bool
    begun_at: datetime


async def add(session: NewSession, *, user_id: UUID) -> None:
    await database.query(
        _ADD,
        session.id,
        user_id,
        session.family_digest,
        session.refresh_digest,
        session.user_agent,
        session.proves_phone,
        session.begun_at,
    )


async def find(session_id: UUID) -> Session | None:
    """The session with its user."""
    return await Session.get_or_none(id=session_id).select_related("user")


async def rotate(
    session_id: UUID,
    *,
    family: bytes,
    live: bytes,
    successor: bytes,
    now: datetime,
    horizon: Horizon,
) -> UUID | None:
    """Put the successor's digest in the live one's place; answers whose session it is.

    None, and nothing done, where these are not the session's digests (any more), where the session
    is over by its age, or its user is blocked.
    """
    rows = await database.query(
        _ROTATE, session_id, live, successor, now, family, horizon.signed_in, horizon.last_used
    )
    return UUID(str(rows[0]["user_id"])) if rows else None


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
    over = "created_at < $1 OR last_used_at < $2"
    return await clearing.some(
        "sessions", "id", signed_in_before, used_before, over=over, most=most
    )
