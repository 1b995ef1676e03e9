"""The sign-in of a user who has an account already, all of it in one statement of PostgreSQL.

By steps it is eight statements, for which Tortoise builds four models and six texts: 2.6
milliseconds of a core where this takes 0.2. `service.login` has the steps, which SQLite, in the
process itself, goes every time, and PostgreSQL for whoever is new or brings an invite code.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast
from uuid import UUID

from msgspec import Struct
from tortoise.exceptions import IntegrityError

from referral.storage import database
from referral.storage.counters import Raise
from referral.storage.profiles import OF_SIGNED_IN, ProfileOfUser
from referral.storage.sessions import NewSession

# Locks in the order of the steps: the challenge's counter, then the user, who is looked at before
# without a lock, so that nothing is spent where there is none to sign in. Where that look was too
# early, and the user has been blocked or deleted since, the session has no user: an error, which
# undoes it all.
_SIGN_IN = f"""
    WITH known AS (SELECT 1 FROM users WHERE phone = $1 AND NOT is_blocked),
    spent AS (
        INSERT INTO counters (key, moment) SELECT $2, $3 FROM known
        ON CONFLICT (key) DO UPDATE SET moment = excluded.moment WHERE counters.moment < $4
        RETURNING key
    ),
    signed_in AS (
        UPDATE users SET last_sign_in_at = $5
        WHERE phone = $1 AND NOT is_blocked AND EXISTS (SELECT 1 FROM spent)
        RETURNING *
    ),
    begun AS (
        INSERT INTO sessions (id, user_id, family_digest, refresh_digest, user_agent, proves_phone,
                              proof, created_at, last_used_at)
        SELECT $6, (SELECT id FROM signed_in), $7, $8, $9, $10, $11, $5, $5 FROM spent
        RETURNING user_id
    ),
    entered AS (
        INSERT INTO audit_entries (id, at, action, actor, user_id, address)
        SELECT $12, $13, $14, 'user:' || user_id, user_id, $15 FROM begun
    )
    {OF_SIGNED_IN}
"""  # noqa: S608 - our own words


class Entry(Struct, frozen=True):
    """What the audit trail says of it, but for who it was."""

    id: UUID
    at: datetime
    action: str
    address: str | None


async def add(phone: str, spent: Raise, session: NewSession, entry: Entry) -> ProfileOfUser | None:
    """Spend the challenge, mark the user, begin the session, write the entry: all or nothing.

    Answers the user's profile, or None where nothing was done, and the steps tell why.
    """
    if not database.is_postgres():
        return None
    try:
        rows = await database.query(
            _SIGN_IN,
            phone,
            spent.key,
            spent.moment,
            spent.below,
            session.begun_at,
            session.id,
            session.family_digest,
            session.refresh_digest,
            session.user_agent,
            session.proves_phone,
            session.proof,
            entry.id,
            entry.at,
            entry.action,
            entry.address,
        )
    except (IntegrityError, database.Conflict):
        return None
    return cast("ProfileOfUser", rows[0]) if rows else None
