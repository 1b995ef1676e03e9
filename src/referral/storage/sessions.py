"""Queries for sessions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from referral.core.cursor import Cursor
from referral.core.proof import Proof
from referral.storage import database, dialect, pagination
from referral.storage.models import Session
from referral.storage.pagination import Page
from referral.storage.purging import clear_batch, delete_batch

NEW_SESSION_COLUMNS = """
    id, user_id, family_digest, refresh_digest, user_agent, proof, created_at, last_used_at,
    address_digest
"""
_ADD = f"""
    INSERT INTO sessions ({NEW_SESSION_COLUMNS}, client_id, scopes, authenticated_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11, $12)
"""  # noqa: S608 - only constants
SIGNED_IN_AT = "COALESCE(sessions.authenticated_at, sessions.created_at)"
"""When a code was last verified, from which every age of a session counts."""
_OF_USER = f"""
    SELECT CAST(id AS TEXT) AS id, created_at, last_used_at, user_agent, proof,
           {SIGNED_IN_AT} AS signed_in_at, expires_at,
           (SELECT name FROM clients WHERE clients.id = sessions.client_id) AS client
    FROM sessions WHERE user_id = $1
"""  # noqa: S608 - our own names
_ROTATE = f"""
    UPDATE sessions SET refresh_digest = $3, last_used_at = $4, address_digest = $9
    WHERE id = $1 AND refresh_digest = $2 AND family_digest = $5
    AND {SIGNED_IN_AT} > $6 AND last_used_at > $7
    AND COALESCE(client_id, '') = $8 AND expires_at IS NULL
    AND EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND NOT users.is_blocked)
    RETURNING user_id, proof, {SIGNED_IN_AT} AS signed_in_at, scopes,
              (SELECT phone FROM users WHERE users.id = sessions.user_id) AS phone
"""  # noqa: S608 - our own names
_ROTATE_REPEATED = """
    UPDATE sessions SET refresh_digest = $4, late_repeats_tat = $5, last_used_at = $6,
                        address_digest = $7
    WHERE id = $1 AND refresh_digest = $2 AND late_repeats_tat = $3
    AND EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND NOT users.is_blocked)
    RETURNING id
"""


class NewSession(Struct, frozen=True, kw_only=True):
    """A session to add, without its user.

    address_digest, client_id, scopes, authenticated_at, expires_at: see models.Session.
    """

    id: UUID
    family_digest: bytes
    refresh_digest: bytes
    user_agent: str | None
    proof: Proof
    created_at: datetime
    address_digest: str | None = None
    client_id: str | None = None
    scopes: str | None = None
    authenticated_at: datetime | None = None
    expires_at: datetime | None = None


class RotatedSession(Struct, frozen=True, kw_only=True):
    """A session whose refresh token was replaced, with its user."""

    user_id: UUID
    phone: str | None
    proof: Proof
    signed_in_at: datetime
    scopes: str | None


class EndedSession(Struct, frozen=True, kw_only=True):
    """A session that was ended. client_id: see models.Session."""

    id: UUID
    user_id: UUID
    client_id: str | None


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
        session.address_digest,
        session.client_id,
        session.scopes,
        session.authenticated_at,
        session.expires_at,
    )


async def find(session_id: UUID) -> Session | None:
    """Return a session with its user."""
    return await Session.get_or_none(id=session_id).select_related("user")


async def rotate(  # noqa: PLR0913 - one argument for each thing that is checked or written
    session_id: UUID,
    *,
    family: bytes,
    live: bytes,
    successor: bytes,
    now: datetime,
    signed_in_after: datetime,
    used_after: datetime,
    client_id: str | None,
    address_digest: str | None,
) -> RotatedSession | None:
    """Replace the digest of the live refresh token with its successor's.

    signed_in_after, used_after: a session that began or was last used before these has expired.
    client_id, address_digest: see models.Session. Return None and change nothing if the session
    belongs to another client, has other digests or has expired, or if its user is blocked.
    """
    rows = await database.query(
        _ROTATE,
        session_id,
        live,
        successor,
        now,
        family,
        signed_in_after,
        used_after,
        client_id or "",
        address_digest,
    )
    if not rows:
        return None
    (row,) = dialect.decode_rows(rows)
    return RotatedSession(
        user_id=UUID(str(row["user_id"])),
        phone=row["phone"],
        proof=Proof(row["proof"]),
        signed_in_at=row["signed_in_at"],
        scopes=row["scopes"],
    )


async def rotate_repeated(
    session: Session, *, successor: bytes, tat: int, now: datetime, address_digest: str | None
) -> bool:
    """Replace the live refresh token after a late repeat of its predecessor.

    tat: the session's new `late_repeats_tat`. address_digest: see models.Session. Return False and
    change nothing if the session has changed since it was read.
    """
    rows = await database.query(
        _ROTATE_REPEATED,
        session.id,
        session.refresh_digest,
        session.late_repeats_tat,
        successor,
        tat,
        now,
        address_digest,
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


async def end(session_id: UUID, *, user_id: UUID) -> list[EndedSession]:
    """End a session and return it. Return an empty list if the user has no such session."""
    return await _end("id = $1 AND user_id = $2", session_id, user_id)


async def end_all(user_id: UUID, *, except_for: UUID | None = None) -> list[EndedSession]:
    """End all sessions of a user, except for one if given, and return them."""
    if except_for is None:
        return await _end("user_id = $1", user_id)
    return await _end("user_id = $1 AND id <> $2", user_id, except_for)


async def end_of_client(client_id: str) -> list[EndedSession]:
    """End all sessions of a client and return them."""
    return await _end("client_id = $1", client_id)


async def purge(
    *, signed_in_before: datetime, used_before: datetime, now: datetime, batch_size: int
) -> int:
    """Delete at most `batch_size` expired sessions. Return how many were deleted."""
    where = f"{SIGNED_IN_AT} < $1 OR last_used_at < $2 OR expires_at < $3"
    return await delete_batch(
        "sessions", "id", signed_in_before, used_before, now, where=where, batch_size=batch_size
    )


async def purge_addresses(*, before: datetime, batch_size: int) -> int:
    """Clear the addresses' digests of at most `batch_size` sessions. Return how many were cleared.

    before: only of sessions that were last used before.
    """
    where = "last_used_at < $1 AND address_digest IS NOT NULL"
    return await clear_batch(
        "sessions", "id", before, column="address_digest", where=where, batch_size=batch_size
    )


async def _end(where: str, *values: object) -> list[EndedSession]:
    rows = await database.query(
        f"DELETE FROM sessions WHERE {where} RETURNING id, user_id, client_id",  # noqa: S608 - ours
        *values,
    )
    return [
        EndedSession(
            id=UUID(str(row["id"])), user_id=UUID(str(row["user_id"])), client_id=row["client_id"]
        )
        for row in rows
    ]
