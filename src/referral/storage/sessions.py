"""Queries for sessions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from referral.core.cursor import Cursor
from referral.core.proof import Proof
from referral.storage import database, pagination
from referral.storage.models import Session
from referral.storage.pagination import Page
from referral.storage.purging import delete_batch

NEW_SESSION_COLUMNS = """
    id, user_id, family_digest, refresh_digest, user_agent, proof, created_at, last_used_at
"""
_ADD = f"""
    INSERT INTO sessions ({NEW_SESSION_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
"""  # noqa: S608 - only constants
_OF_USER = """
    SELECT CAST(id AS TEXT) AS id, created_at, last_used_at, user_agent, proof
    FROM sessions WHERE user_id = $1
"""
_ROTATE = """
    UPDATE sessions SET refresh_digest = $3, last_used_at = $4
    WHERE id = $1 AND refresh_digest = $2 AND family_digest = $5
    AND created_at > $6 AND last_used_at > $7
    AND EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND NOT users.is_blocked)
    RETURNING user_id, proof,
              (SELECT phone FROM users WHERE users.id = sessions.user_id) AS phone
"""
_ROTATE_REPEATED = """
    UPDATE sessions SET refresh_digest = $4, late_repeats_tat = $5, last_used_at = $6
    WHERE id = $1 AND refresh_digest = $2 AND late_repeats_tat = $3
    AND EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND NOT users.is_blocked)
    RETURNING id
"""


class NewSession(Struct, frozen=True, kw_only=True):
    """A session to add, without its user."""

    id: UUID
    family_digest: bytes
    refresh_digest: bytes
    user_agent: str | None
    proof: Proof
    created_at: datetime


class RotatedSession(Struct, frozen=True):
    """The user and the proof of a session whose refresh token was replaced."""

    user_id: UUID
    phone: str | None
    proof: Proof


async def add(session: NewSession, *, user_id: UUID) -> None:
    await database.query(
        _ADD,
        session.id,
        user_id,
        session.family_digest,
        session.refresh_digest,
        session.user_agent,
        session.proof,
        session.created_at,
    )


async def find(session_id: UUID) -> Session | None:
    """Return the session with its user."""
    return await Session.get_or_none(id=session_id).select_related("user")


async def rotate(
    session_id: UUID,
    *,
    family: bytes,
    live: bytes,
    successor: bytes,
    now: datetime,
    signed_in_after: datetime,
    used_after: datetime,
) -> RotatedSession | None:
    """Replace the digest of the live refresh token with its successor's.

    signed_in_after, used_after: a session that began or was last used before these has expired.
    Return None and change nothing if the digests are no longer the session's, if the session has
    expired or if its user is blocked.
    """
    rows = await database.query(
        _ROTATE, session_id, live, successor, now, family, signed_in_after, used_after
    )
    if not rows:
        return None
    row = rows[0]
    return RotatedSession(UUID(str(row["user_id"])), row["phone"], Proof(row["proof"]))


async def rotate_repeated(session: Session, *, successor: bytes, tat: int, now: datetime) -> bool:
    """Replace the live refresh token after a late repeat of its predecessor.

    tat: the session's new `late_repeats_tat`. Return False and change nothing if the session has
    changed since it was read.
    """
    rows = await database.query(
        _ROTATE_REPEATED,
        session.id,
        session.refresh_digest,
        session.late_repeats_tat,
        successor,
        tat,
        now,
    )
    return bool(rows)


async def set_proof(session_id: UUID, proof: Proof) -> None:
    """Set how the phone was proven, after the user has changed phone."""
    await Session.filter(id=session_id).update(proof=proof)


async def page(user_id: UUID, *, after: Cursor | None, limit: int) -> Page:
    """Return a page of the user's sessions, newest first."""
    return await pagination.paginate(
        _OF_USER, user_id, by="sessions.created_at", after=after, limit=limit
    )


async def end(session_id: UUID, *, user_id: UUID) -> bool:
    """End a session. Return False if the user has no such session."""
    return bool(await Session.filter(id=session_id, user_id=user_id).delete())


async def end_all(user_id: UUID, *, except_for: UUID | None = None) -> None:
    """End all sessions of a user, except for one if given."""
    rows = Session.filter(user_id=user_id)
    await (rows.exclude(id=except_for) if except_for else rows).delete()


async def purge(*, signed_in_before: datetime, used_before: datetime, batch_size: int) -> int:
    """Delete at most `batch_size` expired sessions. Return how many were deleted."""
    where = "created_at < $1 OR last_used_at < $2"
    return await delete_batch(
        "sessions", "id", signed_in_before, used_before, where=where, batch_size=batch_size
    )
