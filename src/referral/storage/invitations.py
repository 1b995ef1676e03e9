"""Queries for invitations: inviters, invitees and past activations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from referral.core.cursor import Cursor
from referral.storage import database, pagination, users
from referral.storage.models import PastActivation, User
from referral.storage.pagination import Page
from referral.storage.purging import delete_batch

# UNION rather than UNION ALL, so that this would end even if there were a loop
_ROOT = """
    WITH RECURSIVE chain (id, inviter_id) AS (
        SELECT id, inviter_id FROM users WHERE id = $1
        UNION
        SELECT users.id, users.inviter_id FROM users JOIN chain ON users.id = chain.inviter_id
    )
    SELECT id FROM chain WHERE inviter_id IS NULL
"""
_LOCK = "SELECT id FROM users WHERE id = $1 "
_INVITEES = """
    SELECT CAST(id AS TEXT) AS id, phone, name, invitee_count, is_blocked, inviter_sees_phone,
           activated_at
    FROM users WHERE inviter_id = $1 AND deleted_at IS NULL
"""
# One SELECT for each inviter, because each then reads only its limit from the index
_NEWEST = """
    SELECT * FROM (
        SELECT id, inviter_id, phone, name, invitee_count, is_blocked FROM users
        WHERE inviter_id = ${place} AND deleted_at IS NULL
        ORDER BY activated_at DESC, id DESC LIMIT $1
    ) AS newest_{place}
"""


async def find_root(user_id: UUID) -> UUID:
    """Return the id of the user at the top of this user's chain of inviters."""
    rows = await database.query(_ROOT, user_id)
    return UUID(str(rows[0]["id"]))


async def lock(*, changed: UUID, kept: Iterable[UUID] = ()) -> None:
    """Lock users until the transaction ends.

    changed: the user whose inviter or phone will change, or who will be deleted. kept: users for
    whom these must not change meanwhile; other columns may, such as `invitee_count`.

    They are locked in the order of their ids, so that two transactions cannot wait for each other.
    SQLite has one writer at a time and needs no such locks.
    """
    if not database.is_postgres():
        return
    for user_id in sorted({changed, *kept}):
        # KEY SHARE lets many users activate codes of one tree of inviters at the same time
        strength = "FOR UPDATE" if user_id == changed else "FOR KEY SHARE"
        await database.query(_LOCK + strength, user_id)


async def link(user: User, inviter_id: UUID, *, root: UUID, now: datetime) -> bool:
    """Set a user's inviter. `places.add_invitee` has to follow.

    root: the top of the inviter's chain. Call it with the user, the inviter and the root locked.
    Return False and change nothing if one of them is not as it was read before the locks.
    """
    if await find_root(inviter_id) != root or not await User.exists(
        id=inviter_id, deleted_at__isnull=True, is_blocked=False
    ):
        return False
    linked = await User.filter(
        id=user.id, phone=user.phone, inviter_id__isnull=True, deleted_at__isnull=True
    ).update(inviter_id=inviter_id, activated_at=now, inviter_sees_phone=True)
    return bool(linked)


async def unlink(user: User, inviter_id: UUID, *, now: datetime) -> int | None:
    """Remove a user's inviter, free the place, and return the inviter's new count of invitees.

    Call it with both locked. Return None and change nothing if the user has changed since it was
    read.
    """
    is_deleted = user.deleted_at is not None
    phone: dict[str, Any] = {"phone__isnull": True} if is_deleted else {"phone": user.phone}
    unlinked = await User.filter(
        id=user.id, inviter_id=inviter_id, deleted_at__isnull=not is_deleted, **phone
    ).update(inviter_id=None, activated_at=None, voided_at=now, inviter_sees_phone=True)
    if not unlinked:
        return None
    # The deletion of a user has decremented the count already
    return await users.change_invitee_count(inviter_id, 0 if is_deleted else -1, places=-1)


async def page(user_id: UUID, *, after: Cursor | None, limit: int) -> Page:
    """Return a page of the user's invitees, newest first."""
    return await pagination.paginate(
        _INVITEES,
        user_id,
        by="users.activated_at",
        after=after,
        limit=limit,
        query=database.query_replica,
    )


async def newest(user_ids: Sequence[UUID], *, limit: int) -> list[dict[str, Any]]:
    """Return the newest invitees of each of several users, newest first.

    Rows have `id`, `inviter_id`, `phone`, `name`, `invitee_count` and `is_blocked`. user_ids: at
    most 500, because SQLite takes no more SELECTs in a statement. limit: how many for each user.
    """
    if not user_ids:
        return []
    sql = " UNION ALL ".join(_NEWEST.format(place=n) for n in range(2, len(user_ids) + 2))
    return [
        {
            **row,
            "id": UUID(str(row["id"])),
            "inviter_id": UUID(str(row["inviter_id"])),
            "is_blocked": bool(row["is_blocked"]),
        }
        for row in await database.query(sql, limit, *user_ids)
    ]


async def record_past_activation(phone_digest: str, *, until: datetime) -> None:
    """Record that a phone that leaves its account has activated an invite code."""
    await PastActivation.filter(phone_digest=phone_digest).delete()
    await PastActivation.create(phone_digest=phone_digest, expires_at=until)


async def delete_past_activations(phone_digests: Iterable[str]) -> None:
    await PastActivation.filter(phone_digest__in=list(phone_digests)).delete()


async def has_past_activation(phone_digests: Iterable[str], *, now: datetime) -> bool:
    return await PastActivation.exists(phone_digest__in=list(phone_digests), expires_at__gt=now)


async def purge_past_activations(*, before: datetime, batch_size: int) -> int:
    """Delete at most `batch_size` expired records. Return how many were deleted."""
    return await delete_batch(
        "past_activations", "phone_digest", before, where="expires_at < $1", batch_size=batch_size
    )
