"""Queries for users."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from uuid import UUID

from tortoise.exceptions import IntegrityError

from referral.storage import database, dialect
from referral.storage.database import Row
from referral.storage.models import AdminGrant, User

# Ends with a condition, so that others can be added
ROWS = """
    SELECT CAST(users.id AS TEXT) AS id, users.phone, users.name, users.email, users.invite_code,
           inviters.invite_code AS activated_invite_code, users.invitee_count, users.is_admin,
           users.is_blocked, users.created_at, users.last_sign_in_at
    FROM users LEFT JOIN users AS inviters ON inviters.id = users.inviter_id
    WHERE users.deleted_at IS NULL
"""
_CHANGE_INVITEE_COUNT = """
    UPDATE users SET invitee_count = invitee_count + $2, places_taken = places_taken + $3
    WHERE id = $1 RETURNING invitee_count
"""
_ACCEPTS_DEVICES = """
    SELECT 1 AS one FROM users LEFT JOIN device_generations ON user_id = id
    WHERE id = $1 AND phone = $2 AND COALESCE(generation, 0) = $3 AND NOT is_blocked
"""
_REVOKE_DEVICES = """
    INSERT INTO device_generations (user_id, generation) VALUES ($1, 1)
    ON CONFLICT (user_id) DO UPDATE SET generation = device_generations.generation + 1
"""

_PHONES = "SELECT id, phone FROM users WHERE phone > $1 ORDER BY phone LIMIT $2"


async def get(user_id: UUID) -> User:
    return await User.get(id=user_id)


async def find_all(user_ids: Collection[UUID]) -> dict[UUID, User]:
    """Return users by their ids, including deleted ones. Unknown ids are missing."""
    return {user.id: user for user in await User.filter(id__in=list(user_ids))}


async def find(user_id: UUID) -> User | None:
    """Return a user who is not deleted, with the inviter."""
    return await User.get_or_none(id=user_id, deleted_at__isnull=True).select_related("inviter")


async def find_row(user_id: UUID) -> Row | None:
    """Return a user who is not deleted, as a row of a list."""
    rows = dialect.decode_rows(await database.query(f"{ROWS} AND users.id = $1", user_id))
    return rows[0] if rows else None


async def find_by_phone(phone: str) -> User | None:
    return await User.get_or_none(phone=phone)


async def any_active() -> bool:
    """Return whether there is a user who is not deleted."""
    return await User.exists(deleted_at__isnull=True)


async def find_by_phones(phones: Collection[str]) -> list[User]:
    return await User.filter(phone__in=list(phones)) if phones else []


async def iterate_phones(batch_size: int) -> AsyncIterator[list[tuple[UUID, str]]]:
    """Iterate over the ids and phones of the users who are not deleted, in batches."""
    last = ""
    while found := await database.query(_PHONES, last, batch_size):
        rows = [(UUID(str(row["id"])), row["phone"]) for row in found]
        yield rows
        last = rows[-1][1]


async def find_by_invite_code(code: str) -> User | None:
    """Return the user with this code, even if deleted: a code is never given to another user."""
    return await User.get_or_none(invite_code=code)


async def add(user: User) -> bool:
    """Insert a user. Return False if the phone or the invite code is taken."""
    await User.bulk_create([user], ignore_conflicts=True)
    return await User.exists(id=user.id)


async def set_fields(user_id: UUID, **values: object) -> bool:
    """Set columns of a user. Return False if the user is deleted."""
    return bool(await User.filter(id=user_id, deleted_at__isnull=True).update(**values))


async def erase(user_id: UUID, *, now: datetime) -> None:
    """Mark a user as deleted and clear the user's personal columns."""
    await set_fields(user_id, **dict.fromkeys(User.PERSONAL), is_admin=False, deleted_at=now)


async def mark_signed_in(user_id: UUID, *, phone: str, now: datetime) -> bool:
    """Set the time of the last sign-in.

    Return False and change nothing if the user is deleted, is blocked or has another phone by now.
    """
    rows = User.filter(id=user_id, phone=phone, deleted_at__isnull=True, is_blocked=False)
    return bool(await rows.update(last_sign_in_at=now))


async def accepts_devices(user_id: UUID, *, phone: str, generation: int) -> bool:
    """Return whether device tokens of this generation are valid.

    They are if the user still has this phone, is not blocked and has not revoked them.
    """
    return bool(await database.query(_ACCEPTS_DEVICES, user_id, phone, generation))


async def revoke_devices(user_id: UUID) -> None:
    """Revoke all device tokens of a user."""
    await database.query(_REVOKE_DEVICES, user_id)


async def change_invitee_count(user_id: UUID, by: int, *, places: int = 0) -> int:
    """Add `by` to a user's count of invitees, and `places` to the places taken: see places.py.

    Return the new count.

    The row stays locked until the transaction ends, so no other transaction can change the count
    before then.
    """
    (row,) = await database.query(_CHANGE_INVITEE_COUNT, user_id, by, places)
    number: int = row["invitee_count"]
    return number


async def lock_admins() -> None:
    """Keep other transactions from removing an administrator until this one ends.

    Call it before any user is locked, so that two transactions cannot wait for each other.
    """
    await database.advisory_lock(database.Lock.ADMINS)


async def has_admin(*, excluding: UUID, excluding_phones: Collection[str]) -> bool:
    """Return whether there is an administrator besides this user and the users with these phones.

    Blocked administrators do not count.
    """
    rows = User.filter(is_admin=True, is_blocked=False, deleted_at__isnull=True)
    return await rows.exclude(id=excluding).exclude(phone__in=list(excluding_phones)).exists()


async def add_admin_grant(phone: str) -> None:
    """Make this phone's user an administrator at its first sign-in."""
    await AdminGrant.bulk_create([AdminGrant(phone=phone)], ignore_conflicts=True)


async def consume_admin_grant(phone: str) -> bool:
    """Delete the grant for this phone. Return whether there was one."""
    return bool(await AdminGrant.filter(phone=phone).delete())


async def change_phone(user_id: UUID, phone: str) -> bool:
    """Change a user's phone. Return False if another user has it.

    The transaction has then failed and must be rolled back.
    """
    try:
        await User.filter(id=user_id).update(phone=phone, inviter_sees_phone=False)
    except IntegrityError:
        return False
    return True
