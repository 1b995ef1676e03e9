"""Queries for a profile, and for the account and the session that a request comes from.

Written as SQL, because a queryset of Tortoise builds its own anew at each call, which takes several
times as long as the answer from the database.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict, cast
from uuid import UUID

from referral.core.profile_fields import MAX_PROFILE_INVITEES
from referral.core.proof import Proof
from referral.storage import database, dialect
from referral.storage.models import User

_USER = (
    "id",
    "phone",
    "name",
    "email",
    "invite_code",
    "inviter_id",
    "activated_at",
    "inviter_sees_phone",
    "invitee_count",
    "is_admin",
    "is_blocked",
    "created_at",
    "last_sign_in_at",
    "deleted_at",
)
_ACCOUNT = f"""
    SELECT {", ".join(f"users.{column}" for column in _USER)},
           sessions.created_at AS signed_in_at, sessions.last_used_at, sessions.proof
    FROM sessions JOIN users ON users.id = sessions.user_id
    WHERE sessions.id = $1
"""  # noqa: S608 - our own names
_PROFILE = """
    SELECT users.id, users.phone, users.name, users.email, users.invite_code, users.invitee_count,
           users.created_at, inviters.invite_code AS activated_invite_code, {newest} AS newest
"""
_GENERATION = """
    COALESCE(
        (SELECT generation FROM device_generations WHERE user_id = users.id), 0
    ) AS device_generation
"""
# An index has the newest in their order, however many there are. Their number is written here: of
# one that comes with each call the planner knows nothing, expects many and plans each call anew,
# which took four times as long as the answer (208 microseconds of PostgreSQL's instead of 48)
_NEWEST = f"""
    SELECT invitees.phone FROM users AS invitees
    WHERE invitees.inviter_id = users.id AND invitees.deleted_at IS NULL
    AND invitees.inviter_sees_phone
    ORDER BY invitees.activated_at DESC, invitees.id DESC LIMIT {MAX_PROFILE_INVITEES}
"""  # noqa: S608 - our own number
_INVITER = "LEFT JOIN users AS inviters ON inviters.id = users.inviter_id"
_OF_USER = f"{_PROFILE}, {_GENERATION} FROM users {_INVITER} WHERE users.id = $1"
_OF_SESSION = f"""
    {_PROFILE}, users.is_blocked, sessions.created_at AS signed_in_at, sessions.last_used_at,
           sessions.proof
    FROM sessions JOIN users ON users.id = sessions.user_id {_INVITER}
    WHERE sessions.id = $1
"""
# One text, which both databases make, and which is read in a tenth of an array's time
_AS_TEXT = {
    True: f"array_to_string(ARRAY({_NEWEST}), ',')",
    # A subquery with a LIMIT is done in its order before anything else
    False: f"(SELECT group_concat(phone) FROM ({_NEWEST}))",  # noqa: S608 - our own names
}
# Of a user whom a statement before it has as `signed_in`
_OF_SIGNED_IN = f"{_PROFILE}, {_GENERATION} FROM signed_in AS users {_INVITER}"
SIGNED_IN_PROFILE = _OF_SIGNED_IN.format(newest=_AS_TEXT[True])
_IN_SQL = {
    is_postgres: (_OF_USER.format(newest=newest), _OF_SESSION.format(newest=newest))
    for is_postgres, newest in _AS_TEXT.items()
}


class ProfileRow(TypedDict):
    """A user with their inviter's code. newest: phones of the newest invitees, after commas."""

    id: UUID
    phone: str | None
    name: str | None
    email: str | None
    invite_code: str
    invitee_count: int
    created_at: datetime
    activated_invite_code: str | None
    newest: str | None


class UserProfileRow(ProfileRow):
    """The profile, and what the user's device tokens carry."""

    device_generation: int


class SessionProfileRow(ProfileRow):
    """The profile, and whether the session of a request is good."""

    is_blocked: bool
    signed_in_at: datetime
    last_used_at: datetime
    proof: Proof


class Account(TypedDict):
    """A user, and the session of a request."""

    user: User
    signed_in_at: datetime
    last_used_at: datetime
    proof: Proof


async def find(user_id: UUID) -> UserProfileRow:
    """The profile of a user, deleted ones too, with the newest invitees."""
    of_user, _ = _IN_SQL[database.is_postgres()]
    (row,) = await database.query(of_user, user_id)
    return cast("UserProfileRow", _read(row))


async def find_by_session(session_id: str) -> SessionProfileRow | None:
    """The profile of a session's user, with the newest invitees."""
    _, of_session = _IN_SQL[database.is_postgres()]
    rows = await database.query(of_session, session_id)
    return cast("SessionProfileRow", _read(rows[0])) if rows else None


async def find_account(session_id: UUID) -> Account | None:
    """The session with its user."""
    rows = await database.query(_ACCOUNT, session_id)
    if not rows:
        return None
    row = _read(rows[0])
    return {
        "user": User(**{column: row[column] for column in _USER}),
        "signed_in_at": row["signed_in_at"],
        "last_used_at": row["last_used_at"],
        "proof": row["proof"],
    }


def _read(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its proof, and with its id, times and flags as PostgreSQL gives them."""
    if "proof" in row:
        row["proof"] = Proof(row["proof"])
    if database.is_postgres():
        return row
    (read,) = dialect.decode_rows([row])
    return {**read, "id": UUID(row["id"])}
