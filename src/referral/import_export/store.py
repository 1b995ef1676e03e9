"""Bulk queries for imports and exports."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tortoise.exceptions import IntegrityError

from referral.import_export.user_row import UserRow
from referral.storage import database, dialect
from referral.storage.models import User

# SQL instead of the ORM, which takes longer to build its objects than the database to store them
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
_ADD_INVITEES = """
    UPDATE users SET invitee_count = invitee_count + $2, places_taken = places_taken + $2
    WHERE id = $1
"""
# UNION, not UNION ALL: if there ever is a loop, the query still ends
_ROOTS = """
    WITH RECURSIVE chain (user_id, id, inviter_id) AS (
        SELECT id, id, inviter_id FROM users WHERE id IN ({marks})
        UNION
        SELECT chain.user_id, users.id, users.inviter_id
        FROM users JOIN chain ON users.id = chain.inviter_id
    )
    SELECT user_id, id FROM chain WHERE inviter_id IS NULL
"""
_READ = "SELECT id, inviter_id, deleted_at FROM users WHERE id IN ({marks})"
# One user after another, in the order of ids. A join could not lock with two strengths
_LOCK = """
    SELECT users.* FROM (
        SELECT id, is_changed FROM ({rows}) AS given (id, is_changed) ORDER BY id
    ) AS wanted
    CROSS JOIN LATERAL (
        SELECT * FROM (
            SELECT id, inviter_id, deleted_at FROM users
            WHERE id = wanted.id AND wanted.is_changed FOR UPDATE
        ) AS changed
        UNION ALL
        SELECT * FROM (
            SELECT id, inviter_id, deleted_at FROM users
            WHERE id = wanted.id AND NOT wanted.is_changed FOR KEY SHARE
        ) AS kept
    ) AS users
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
class ExistingUser:
    """The user who has a phone."""

    id: UUID
    invite_code: str
    inviter_id: UUID | None


@dataclass(frozen=True, slots=True)
class LockedUser:
    """The columns of a locked user that decide about links."""

    inviter_id: UUID | None
    is_deleted: bool


async def enlarge_cache() -> None:
    """Give SQLite 64 MB of cache while this process is connected.

    Ids are random, so every page of their index is needed again and again.
    """
    if not database.is_postgres():
        await database.query("PRAGMA cache_size = -65536")  # KiB; the default is 2,000


async def lock_imports() -> None:
    """Keep other imports from changing anything until the transaction ends."""
    await database.advisory_lock(database.Lock.IMPORTS)


async def add(users: Iterable[NewUser]) -> None:
    """Insert users, inviters first, as if each had activated the invite code when signing up.

    Raises Conflict if a phone or a code has been taken meanwhile.
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
    await _add_invitees(user.inviter_id for user in added if user.inviter_id is not None)


async def find_by_phones(phones: Collection[str]) -> dict[str, ExistingUser]:
    select = "SELECT id, phone, invite_code, inviter_id FROM users WHERE phone IN ({marks})"
    return {
        row["phone"]: ExistingUser(
            _uuid(row["id"]), row["invite_code"], _uuid_or_none(row["inviter_id"])
        )
        for row in await _among(select, phones)
    }


async def find_ids_by_code(codes: Collection[str]) -> dict[str, UUID]:
    """Return the ids of the owners of invite codes, deleted users among them."""
    rows = await _among("SELECT id, invite_code FROM users WHERE invite_code IN ({marks})", codes)
    return {row["invite_code"]: _uuid(row["id"]) for row in rows}


async def apply_admin_grants(phones: Collection[str]) -> list[UUID]:
    """Make administrators of the users for whose phones a grant is pending, and delete it.

    Return the users' ids.
    """
    granted = await _among("SELECT phone FROM admin_grants WHERE phone IN ({marks})", phones)
    user_ids = []
    for row in granted:
        (user,) = await database.query(
            "UPDATE users SET is_admin = TRUE WHERE phone = $1 RETURNING id", row["phone"]
        )
        await database.query("DELETE FROM admin_grants WHERE phone = $1", row["phone"])
        user_ids.append(_uuid(user["id"]))
    return user_ids


async def delete_sign_up_grants(phones: Collection[str]) -> None:
    """Delete the grants of phones that have users now."""
    await _among("DELETE FROM sign_up_grants WHERE phone IN ({marks})", phones)


async def find_roots(user_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the root of each user's tree of inviters."""
    rows = await _among(_ROOTS, user_ids)
    return {_uuid(row["user_id"]): _uuid(row["id"]) for row in rows}


async def lock(*, kept: Collection[UUID], changed: Collection[UUID] = ()) -> dict[UUID, LockedUser]:
    """Lock users until the transaction ends, and read them.

    changed: users whose rows will change. kept: users whose rows must not change meanwhile. They
    are locked in the order of their ids, as by storage/invitations.lock. SQLite needs no locks.
    """
    user_ids = {*changed, *kept}
    if not user_ids:
        return {}
    if database.is_postgres():
        wanted = [(user_id, user_id in changed) for user_id in user_ids]
        sql, values = dialect.values_table(("UUID", "BOOLEAN"), wanted, first=1)
        rows = await database.query(_LOCK.format(rows=sql), *values)
    else:
        rows = await _among(_READ, user_ids)
    return {
        _uuid(row["id"]): LockedUser(
            _uuid_or_none(row["inviter_id"]), row["deleted_at"] is not None
        )
        for row in rows
    }


async def link(links: Collection[tuple[UUID, UUID]]) -> None:
    """Link the first user of each pair to the second, the inviter. Both must be locked.

    They are linked as if the first had activated the code when signing up.
    """
    await database.query_many(_LINK, links)
    await _add_invitees(inviter_id for _, inviter_id in links)


async def count() -> int:
    return await User.filter(deleted_at__isnull=True).count()


async def pages(size: int) -> AsyncIterator[list[UserRow]]:
    """Read all users except deleted ones, oldest first, each page with a query of its own."""
    at: Any = datetime.min.replace(tzinfo=UTC)
    last_id = UUID(int=0)
    while rows := await database.query(_PAGE, at, last_id, size):
        yield [_user_row(row) for row in rows]
        at, last_id = rows[-1]["created_at"], _uuid(rows[-1]["id"])


async def greatest_phone(first: str, last: str) -> str | None:
    """Return the greatest phone in use between two of the same length."""
    sql = "SELECT max(phone) AS phone FROM users WHERE phone BETWEEN $1 AND $2"
    [row] = await database.query(sql, first, last)
    found: str | None = row["phone"]
    return found


async def _add_invitees(inviter_ids: Iterable[UUID]) -> None:
    """Increase the counts of invitees, and of places taken, by how often each inviter occurs."""
    await database.query_many(_ADD_INVITEES, sorted(Counter(inviter_ids).items()))


async def _among(sql: str, values: Collection[object]) -> list[dict[str, Any]]:
    """Run a statement with `{marks}` in the place of the values."""
    if not values:
        return []
    marks = dialect.placeholders(len(values))
    return await database.query(sql.format(marks=marks), *values)


def _user_row(row: dict[str, Any]) -> UserRow:
    at = row["created_at"]
    return UserRow(
        phone=row["phone"],
        name=row["name"],
        email=row["email"],
        invite_code=row["invite_code"],
        inviter_code=row["inviter_code"],
        # SQLite returns text
        created_at=at if isinstance(at, datetime) else datetime.fromisoformat(at),
    )


def _uuid(value: object) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))


def _uuid_or_none(value: object) -> UUID | None:
    return None if value is None else _uuid(value)
