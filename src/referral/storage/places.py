"""Queries for places: how many people an invite code has admitted.

`users.places_taken` is the number of users, deleted ones too, whose inviter a user is, and of the
phones in `admitted_phones` that took a place themselves. It is null until it is first needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from referral.storage import database
from referral.storage.models import AdmittedPhone
from referral.storage.purging import delete_batch

_LOCK = "SELECT places_taken FROM users WHERE id = $1 FOR NO KEY UPDATE"
_COUNTED = """
    (SELECT COUNT(*) FROM users AS invitees WHERE invitees.inviter_id = users.id)
    + (SELECT COUNT(*) FROM admitted_phones
       WHERE admitted_phones.inviter_id = users.id AND takes_place)
"""
TAKEN = f"COALESCE(users.places_taken, {_COUNTED})"
"""SQL for how many people the invite code of the user in `users` has admitted."""
_TAKEN = f"SELECT {TAKEN} AS taken FROM users WHERE id = $1"  # noqa: S608
_COUNT = f"UPDATE users SET places_taken = {_COUNTED} WHERE id = $1 AND places_taken IS NULL"  # noqa: S608
_ADD_INVITEE = """
    UPDATE users SET invitee_count = invitee_count + 1, places_taken = places_taken + $2
    WHERE id = $1 AND ($2 = 0 OR $3 = 0 OR places_taken < $3) RETURNING invitee_count
"""
_ADMIT = """
    UPDATE users SET places_taken = places_taken + $2
    WHERE id = $1 AND deleted_at IS NULL AND NOT is_blocked
    AND ($2 = 0 OR $3 = 0 OR places_taken < $3) RETURNING id
"""
_REMEMBER = """
    INSERT INTO admitted_phones (phone_digest, inviter_id, takes_place, expires_at)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (phone_digest, inviter_id) DO UPDATE SET
        takes_place = admitted_phones.takes_place OR excluded.takes_place,
        expires_at = excluded.expires_at
"""


async def taken(inviter_id: UUID) -> int:
    """Return how many people a user's invite code has admitted."""
    (row,) = await database.query(_TAKEN, inviter_id)
    number: int = row["taken"]
    return number


async def count(inviter_id: UUID) -> None:
    """Lock the inviter, and count the places taken if they have not been counted yet.

    The lock comes first, so that the count includes what concurrent transactions have taken.
    """
    if database.is_postgres():
        await database.query(_LOCK, inviter_id)
    await database.query(_COUNT, inviter_id)


async def add_invitee(inviter_id: UUID, *, places: int, limit: int) -> int | None:
    """Count a new invitee and the place that they take. Return the new count of invitees.

    places: 0 if the invitee's phone has a place already. limit: 0 for none; otherwise the places
    must be counted. Return None and change nothing if no place is left.
    """
    rows = await database.query(_ADD_INVITEE, inviter_id, places, limit)
    return int(rows[0]["invitee_count"]) if rows else None


async def admit(inviter_id: UUID, *, places: int, limit: int) -> bool:
    """Take a place for a phone that does not become an invitee. Arguments as in `add_invitee`.

    Return False and change nothing if no place is left, or if the inviter is deleted or blocked.
    """
    return bool(await database.query(_ADMIT, inviter_id, places, limit))


async def remember_phone(
    phone_digest: str, inviter_id: UUID, *, takes_place: bool, until: datetime
) -> None:
    """Record that an inviter's code has admitted a phone. An earlier record lasts longer then."""
    await database.query(_REMEMBER, phone_digest, inviter_id, takes_place, until)


async def renew_phones(phone_digests: Sequence[str], *, until: datetime) -> None:
    await AdmittedPhone.filter(phone_digest__in=list(phone_digests)).update(expires_at=until)


async def has_admitted(inviter_id: UUID, phone_digests: Sequence[str], *, now: datetime) -> bool:
    """Return whether a phone has a place of this inviter already."""
    return await AdmittedPhone.exists(
        inviter_id=inviter_id, phone_digest__in=list(phone_digests), expires_at__gt=now
    )


async def release_phone(inviter_id: UUID, phone_digests: Sequence[str]) -> bool:
    """Delete the place that a phone took itself. Return whether there was one."""
    return bool(
        await AdmittedPhone.filter(
            inviter_id=inviter_id, phone_digest__in=list(phone_digests), takes_place=True
        ).delete()
    )


async def purge(*, before: datetime, batch_size: int) -> int:
    """Delete at most `batch_size` expired records of phones. Return how many were deleted."""
    return await delete_batch(
        "admitted_phones", "id", before, where="expires_at < $1", batch_size=batch_size
    )
