"""Queries for activations: who was whose invitee, from when until when."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from referral.storage import database, dialect
from referral.storage.models import Activation

_ADD = """
    INSERT INTO activations (user_id, inviter_id, made_at, is_repeat, flags)
    SELECT $1, $2, $3, EXISTS (
        SELECT 1 FROM activations WHERE user_id = $1 AND inviter_id = $2
    ), ''
"""
# For new users, one statement instead of one for each: they have had no inviter before
_ADD_OF_NEW_USERS = """
    INSERT INTO activations (user_id, inviter_id, made_at, is_repeat, flags)
    SELECT id, inviter_id, $1, FALSE, '' FROM users WHERE id IN ({marks})
"""
_LOCKED = """
    SELECT CAST(id AS TEXT) AS id, phone, CAST(inviter_id AS TEXT) AS inviter_id, activated_at,
           is_blocked, deleted_at
    FROM users WHERE id = $1
"""


class LockedUser(Struct, frozen=True, kw_only=True):
    """A user whose row is locked, as far as rewards depend on it."""

    id: UUID
    phone: str | None
    inviter_id: UUID | None
    activated_at: datetime | None
    is_blocked: bool
    is_deleted: bool


async def lock(user_id: UUID) -> LockedUser | None:
    """Lock a user, deleted or not, until the transaction ends. Return None if there is none.

    Lock an invitee before the inviter: without loops of inviters, no two transactions can then wait
    for each other. This lock does not conflict with the KEY SHARE of storage/invitations.py.
    """
    strength = "FOR NO KEY UPDATE" if database.is_postgres() else ""
    rows = dialect.decode_rows(await database.query(f"{_LOCKED} {strength}", user_id))
    for row in rows:
        return LockedUser(
            id=UUID(row["id"]),
            phone=row["phone"],
            inviter_id=UUID(row["inviter_id"]) if row["inviter_id"] else None,
            activated_at=row["activated_at"],
            is_blocked=row["is_blocked"],
            is_deleted=row["deleted_at"] is not None,
        )
    return None


async def add(user_id: UUID, inviter_id: UUID, *, made_at: datetime) -> Activation:
    """Add the activation of an inviter's code. Call it with the user locked."""
    (row,) = await database.query(f"{_ADD} RETURNING id", user_id, inviter_id, made_at)
    return await Activation.get(id=row["id"])


async def add_all(links: Collection[tuple[UUID, UUID]], *, made_at: datetime) -> None:
    """Add the activations of pairs of a user and an inviter. Call it with the users locked."""
    await database.query_many(_ADD, [(user, inviter, made_at) for user, inviter in links])


async def add_of_new_users(user_ids: Collection[UUID], *, made_at: datetime) -> None:
    """Add the activations of users who have just been added together with their inviters."""
    if user_ids:
        marks = dialect.placeholders(len(user_ids), first=2)
        await database.query(_ADD_OF_NEW_USERS.format(marks=marks), made_at, *user_ids)


async def present(user: LockedUser) -> Activation | None:
    """Return the activation of a user that is not voided.

    An activation by a version before this table is added first. That version, which may run beside
    this one during an upgrade, does not mark what it voids: such rows are passed over. Call it with
    the user locked.
    """
    if user.inviter_id is None or user.activated_at is None:
        return None
    rows = Activation.filter(user_id=user.id, inviter_id=user.inviter_id, voided_at__isnull=True)
    found = await rows.order_by("-id").first()
    return found or await add(user.id, user.inviter_id, made_at=user.activated_at)


async def get(activation_id: int) -> Activation:
    return await Activation.get(id=activation_id)


async def void(activation: Activation, *, now: datetime) -> None:
    await Activation.filter(id=activation.id).update(voided_at=now)


async def flags(activation_ids: Iterable[int]) -> dict[int, set[str]]:
    """Return the flags of activations, by id. Those without any are missing."""
    ids = set(activation_ids)
    if not ids:
        return {}
    rows = await Activation.filter(id__in=ids).exclude(flags="").values_list("id", "flags")
    return {activation_id: set(text.split()) for activation_id, text in rows}
