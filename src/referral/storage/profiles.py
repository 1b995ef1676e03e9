"""Queries for a profile, and for the user and the session of a request.

They are written as SQL, because Tortoise composes the SQL of a queryset at each call, which takes
several times as long as the database.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict, cast
from uuid import UUID

from referral.core.profile_fields import MAX_PROFILE_INVITEES, ProfileFields
from referral.core.proof import Proof
from referral.storage import columns, database, dialect, invite_opens
from referral.storage.models import User
from referral.storage.sessions import SIGNED_IN_AT

_USER_COLUMNS = tuple(columns.of_model(User))
_ACCOUNT = f"""
    SELECT {", ".join(f"users.{column}" for column in _USER_COLUMNS)},
           {SIGNED_IN_AT} AS signed_in_at, sessions.last_used_at, sessions.proof
    FROM sessions JOIN users ON users.id = sessions.user_id
    WHERE sessions.id = $1
"""  # noqa: S608 - our own names
_PROFILE = f"""
    SELECT users.id, users.phone, users.invite_code, users.invitee_count, users.created_at,
           {", ".join(f"users.{column}" for column in ProfileFields.__annotations__)},
           inviters.invite_code AS activated_invite_code, {{newest}} AS newest_invitees,
           {invite_opens.OF_USER}
"""
_GENERATION = """
    COALESCE(
        (SELECT generation FROM device_generations WHERE user_id = users.id), 0
    ) AS device_generation
"""
# An index returns the newest first, however many there are. The limit is part of the text: with a
# parameter PostgreSQL's planner would assume many rows and plan each call again, which took four
# times as long as the query (208 microseconds instead of 48)
_NEWEST = f"""
    SELECT invitees.phone FROM users AS invitees
    WHERE invitees.inviter_id = users.id AND invitees.deleted_at IS NULL
    AND invitees.inviter_sees_phone
    ORDER BY invitees.activated_at DESC, invitees.id DESC LIMIT {MAX_PROFILE_INVITEES}
"""  # noqa: S608 - our own number
_INVITER = "LEFT JOIN users AS inviters ON inviters.id = users.inviter_id"
_OF_USER = f"{_PROFILE}, {_GENERATION} FROM users {_INVITER} WHERE users.id = $1"
_OF_SESSION = f"""
    {_PROFILE}, users.is_blocked, {SIGNED_IN_AT} AS signed_in_at, sessions.last_used_at,
           sessions.proof
    FROM sessions JOIN users ON users.id = sessions.user_id {_INVITER}
    WHERE sessions.id = $1
"""
# As one text, which takes a tenth of the time of an array to read. By `is_postgres()`
_NEWEST_AS_TEXT = {
    True: f"array_to_string(ARRAY({_NEWEST}), ',')",
    # The order within group_concat() is that of the subquery, which its LIMIT keeps separate
    False: f"(SELECT group_concat(phone) FROM ({_NEWEST}))",  # noqa: S608 - our own names
}
_OF_SIGNED_IN = f"{_PROFILE}, {_GENERATION} FROM signed_in AS users {_INVITER}"
SIGNED_IN_PROFILE = _OF_SIGNED_IN.format(newest=_NEWEST_AS_TEXT[True])
"""For PostgreSQL: selects the profile of the user in the CTE `signed_in`."""
_BY_DATABASE = {
    is_postgres: (_OF_USER.format(newest=newest), _OF_SESSION.format(newest=newest))
    for is_postgres, newest in _NEWEST_AS_TEXT.items()
}


class ProfileRow(ProfileFields):
    """A user's profile, with the inviter's code.

    newest_invitees: the phones of the newest invitees, separated by commas.
    """

    id: UUID
    phone: str | None
    invite_code: str
    invitee_count: int
    invite_opens: int
    created_at: datetime
    activated_invite_code: str | None
    newest_invitees: str | None


class UserProfileRow(ProfileRow):
    """A profile with the generation that the user's device tokens carry."""

    device_generation: int


class SessionProfileRow(ProfileRow):
    """A profile, and the columns that decide whether a request's session is valid."""

    is_blocked: bool
    signed_in_at: datetime
    last_used_at: datetime
    proof: Proof


class Account(TypedDict):
    """The user and the session of a request."""

    user: User
    signed_in_at: datetime
    last_used_at: datetime
    proof: Proof


async def find(user_id: UUID) -> UserProfileRow:
    """Return a user's profile with the newest invitees, even if the user is deleted."""
    of_user, _ = _BY_DATABASE[database.is_postgres()]
    (row,) = await database.query(of_user, user_id)
    return cast("UserProfileRow", _decode(row))


async def find_by_session(session_id: str) -> SessionProfileRow | None:
    """Return the profile of a session's user with the newest invitees."""
    _, of_session = _BY_DATABASE[database.is_postgres()]
    rows = await database.query(of_session, session_id)
    return cast("SessionProfileRow", _decode(rows[0])) if rows else None


async def find_account(session_id: UUID) -> Account | None:
    """Return a session with its user."""
    rows = await database.query(_ACCOUNT, session_id)
    if not rows:
        return None
    row = _decode(rows[0])
    return {
        "user": User(**{column: row[column] for column in _USER_COLUMNS}),
        "signed_in_at": row["signed_in_at"],
        "last_used_at": row["last_used_at"],
        "proof": row["proof"],
    }


def _decode(row: dict[str, Any]) -> dict[str, Any]:
    """Convert the proof, and on SQLite the id, times and booleans."""
    if "proof" in row:
        row["proof"] = Proof(row["proof"])
    if database.is_postgres():
        return row
    (decoded,) = dialect.decode_rows([row])
    return {**decoded, "id": UUID(row["id"])}
