"""Queries about many users at once, for files of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tortoise.exceptions import IntegrityError

from referral.import_export.user_row import UserRow
from referral.storage import database
from referral.storage.models import User

# No Tortoise here: it would take longer to make its objects than the database to store them
_ADD = """
    INSERT INTO users (
        id, phone, name, email, invite_code, created_at, last_sign_in_at, inviter_id, activated_at,
        inviter_sees_phone, invitee_count, is_admin, is_blocked
    ) VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, TRUE, 0, FALSE, FALSE)
"""
_LINK = """
    UPDATE users SET inviter_id = $2, activated_at = created_at, inviter_sees_phone = TRUE
    WHERE id = $1
"""
_COUNT = "UPDATE users SET invitee_count = invitee_count + $2 WHERE id = $1"
# UNION, not UNION ALL: should a loop ever exist, this ends instead of running round in it
_ROOTS = """
    WITH RECURSIVE chain (user_id, id, inviter_id) AS (
        SELECT id, id, inviter_id FROM users WHERE id IN ({marks})
        UNION
        SELECT chain.user_id, users.id, users.inviter_id
        FROM users JOIN chain ON users.id = chain.inviter_id
    )
    SELECT user_id, id FROM chain WHERE inviter_id IS NULL
"""
_PAGE = """
    SELECT users.id, users.phone, users.name, users.email, users.invite_code, users.created_at,
        inviters.invite_code AS inviter_code
    FROM users LEFT JOIN users AS inviters ON inviters.id = users.inviter_id
    WHERE users.deleted_at IS NULL AND (users.created_at, users.id) > ($1, $2)
    ORDER BY users.created_at, users.id LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class NewUser:
    id: UUID
    phone: str
    name: str | None
    email: str | None
    invite_code: str
    inviter_id: UUID | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """Who has a phone."""

    id: UUID
    invite_code: str
    inviter_id: UUID | None


@dataclass(frozen=True, slots=True)
class Node:
    """A user as a part of the forest."""

    inviter_id: UUID | None
    is_deleted: bool


async def widen_cache() -> None:
    """For as long as this process is connected. Ids are random, so every page is needed again."""
    if not database.is_postgres():
        await database.query("PRAGMA cache_size = -65536")  # KiB; SQLite's own is 2,000


async def lock_imports() -> None:
    """Until the transaction ends, no other import changes anything."""
    await database.advisory_lock(database.Lock.IMPORTS)


async def add(users: Iterable[NewUser]) -> None:
    """Insert users, each after the inviter, as if they had activated when they signed up.

    Raises Conflict where a phone or a code is taken by now.
    """
    added = list(users)
    rows = [
        [
            user.id,
            user.phone,
            user.name,
            user.email,
            user.invite_code,
            user.created_at,
            user.inviter_id,
            None if user.inviter_id is None else user.created_at,
        ]
        for user in added
    ]
    try:
        await database.query_many(_ADD, rows)
    except IntegrityError:
        raise database.Conflict from None
    await _count(user.inviter_id for user in added if user.inviter_id is not None)


async def find_by_phones(phones: Collection[str]) -> dict[str, Found]:
    select = "SELECT id, phone, invite_code, inviter_id FROM users WHERE phone IN ({marks})"
    return {
        row["phone"]: Found(_uuid(row["id"]), row["invite_code"], _uuid_or_none(row["inviter_id"]))
        for row in await _among(select, phones)
    }


async def find_by_codes(codes: Collection[str]) -> dict[str, UUID]:
    """Whose codes these are."""
    rows = await _among("SELECT id, invite_code FROM users WHERE invite_code IN ({marks})", codes)
    return {row["invite_code"]: _uuid(row["id"]) for row in rows}


async def take_admin_grants(phones: Collection[str]) -> None:
    """Make those administrators for whose phones a grant waits; it does not any more."""
    rows = await _among("SELECT phone FROM admin_grants WHERE phone IN ({marks})", phones)
    for row in rows:
        await database.query("UPDATE users SET is_admin = TRUE WHERE phone = $1", row["phone"])
        await database.query("DELETE FROM admin_grants WHERE phone = $1", row["phone"])


async def find_roots(user_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """For each user the one at the top of the tree of inviters in which they stand."""
    rows = await _among(_ROOTS, user_ids)
    return {_uuid(row["user_id"]): _uuid(row["id"]) for row in rows}


async def lock(*, kept: Collection[UUID], changed: Collection[UUID] = ()) -> dict[UUID, Node]:
    """Lock users until the transaction ends, as `invitations.lock` does, and look at them.

    Each of the two groups in the order of ids. A call that takes one of the first group while it
    holds one of the second meets us in the wrong order; then PostgreSQL ends one of the two
    transactions, and it begins again.
    """
    select = "SELECT id, inviter_id, deleted_at FROM users WHERE id IN ({marks}) ORDER BY id"
    for_update, for_key_share = (
        (" FOR UPDATE", " FOR KEY SHARE") if database.is_postgres() else ("", "")
    )
    rows = [
        *await _among(select + for_update, changed),
        *await _among(select + for_key_share, set(kept) - set(changed)),
    ]
    return {
        _uuid(row["id"]): Node(_uuid_or_none(row["inviter_id"]), row["deleted_at"] is not None)
        for row in rows
    }


async def link(links: Collection[tuple[UUID, UUID]]) -> None:
    """Make of each pair's second user the inviter of the first, under their locks.

    As if they had activated when they signed up.
    """
    await database.query_many(_LINK, links)
    await _count(inviter_id for _, inviter_id in links)


async def count() -> int:
    return await User.filter(deleted_at__isnull=True).count()


async def pages(size: int) -> AsyncIterator[list[UserRow]]:
    """All users but deleted ones, the oldest first, each page as it is when it is read."""
    at: Any = datetime.min.replace(tzinfo=UTC)
    last_id = UUID(int=0)
    while rows := await database.query(_PAGE, at, last_id, size):
        yield [_user_row(row) for row in rows]
        at, last_id = rows[-1]["created_at"], _uuid(rows[-1]["id"])


async def newest_phone(first: str, last: str) -> str | None:
    """The greatest phone from one to another of the same length."""
    sql = "SELECT max(phone) AS phone FROM users WHERE phone BETWEEN $1 AND $2"
    [row] = await database.query(sql, first, last)
    found: str | None = row["phone"]
    return found


async def _count(inviter_ids: Iterable[UUID]) -> None:
    """Raise the counts of inviters, by one for each time they come."""
    await database.query_many(_COUNT, sorted(Counter(inviter_ids).items()))


async def _among(sql: str, values: Collection[object]) -> list[dict[str, Any]]:
    """The rows of a statement with `{marks}` where the values go."""
    if not values:
        return []
    marks = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    return await database.query(sql.format(marks=marks), *values)


def _user_row(row: dict[str, Any]) -> UserRow:
    at = row["created_at"]
    return UserRow(
        phone=row["phone"],
        name=row["name"],
        email=row["email"],
        invite_code=row["invite_code"],
        inviter_code=row["inviter_code"],
        # SQLite hands out its text
        created_at=at if isinstance(at, datetime) else datetime.fromisoformat(at),
    )


def _uuid(value: object) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))


def _uuid_or_none(value: object) -> UUID | None:
    return None if value is None else _uuid(value)
