"""Queries about users."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from datetime import datetime
from uuid import UUID

from tortoise.exceptions import IntegrityError

from referral.core import search as searches
from referral.core.cursor import Cursor
from referral.core.search import Search, Word
from referral.storage import database, dialect, pagination
from referral.storage.database import Row
from referral.storage.models import AdminGrant, User
from referral.storage.pagination import Page

_USERS = """
    SELECT CAST(users.id AS TEXT) AS id, users.phone, users.name, users.email, users.invite_code,
           inviters.invite_code AS activated_invite_code, users.invitee_count, users.is_admin,
           users.is_blocked, users.created_at, users.last_sign_in_at
    FROM users LEFT JOIN users AS inviters ON inviters.id = users.inviter_id
    WHERE users.deleted_at IS NULL
"""
_CHANGE_INVITEE_COUNT = """
    UPDATE users SET invitee_count = invitee_count + $2 WHERE id = $1 RETURNING invitee_count
"""
_HAS_DEVICES = """
    SELECT 1 AS one FROM users LEFT JOIN device_generations ON user_id = id
    WHERE id = $1 AND phone = $2 AND COALESCE(generation, 0) = $3 AND NOT is_blocked
"""
_END_DEVICES = """
    INSERT INTO device_generations (user_id, generation) VALUES ($1, 1)
    ON CONFLICT (user_id) DO UPDATE SET generation = device_generations.generation + 1
"""

_PHONES = "SELECT id, phone FROM users WHERE phone > $1 ORDER BY phone LIMIT $2"

# Within brackets they are letters like all others
_GLOB_SIGNS = "*?["


async def get(user_id: UUID) -> User:
    return await User.get(id=user_id)


async def find_all(user_ids: Collection[UUID]) -> dict[UUID, User]:
    """By their ids, deleted ones too."""
    return {user.id: user for user in await User.filter(id__in=list(user_ids))}


async def find(user_id: UUID) -> User | None:
    """A user who is not deleted, with the inviter."""
    return await User.get_or_none(id=user_id, deleted_at__isnull=True).select_related("inviter")


async def find_row(user_id: UUID) -> Row | None:
    """A user as `page` has it."""
    rows = dialect.as_in_postgres(await database.query(f"{_USERS} AND users.id = $1", user_id))
    return rows[0] if rows else None


async def page(search: Search | None, *, after: Cursor | None, limit: int) -> Page:
    """Users who are not deleted, with their inviters' codes, newest first."""
    sql, values = _USERS, _Values()
    if search is not None:
        sql += f" AND ({await _found_by_index(search, values) or _fits(search, values)})"
    return await pagination.newest(
        sql,
        *values,
        by="users.created_at",
        after=after,
        limit=limit,
        query=database.query_replica,
    )


async def find_by_phone(phone: str) -> User | None:
    return await User.get_or_none(phone=phone)


async def find_by_phones(phones: Collection[str]) -> list[User]:
    return await User.filter(phone__in=list(phones)) if phones else []


async def phones_of_all(size: int) -> AsyncIterator[list[tuple[UUID, str]]]:
    """The id and phone of every user who is not deleted, so many at a time."""
    last = ""
    while found := await database.query(_PHONES, last, size):
        rows = [(UUID(str(row["id"])), row["phone"]) for row in found]
        yield rows
        last = rows[-1][1]


async def find_by_invite_code(code: str) -> User | None:
    """Whose code it is, deleted users too: nobody else ever gets it."""
    return await User.get_or_none(invite_code=code)


async def add(user: User) -> bool:
    """Insert a user; False, and nothing done, where the phone or the invite code is taken."""
    await User.bulk_create([user], ignore_conflicts=True)
    return await User.exists(id=user.id)


async def set_fields(user_id: UUID, **values: object) -> bool:
    """Set columns of a user; False, and nothing done, where it is deleted by now."""
    return bool(await User.filter(id=user_id, deleted_at__isnull=True).update(**values))


async def erase(user_id: UUID, *, now: datetime) -> None:
    """Leave of a user what others' links need, and nothing about the person."""
    await set_fields(user_id, **dict.fromkeys(User.PERSONAL), is_admin=False, deleted_at=now)


async def mark_signed_in(user_id: UUID, *, phone: str, now: datetime) -> bool:
    """False, and nothing done, where the user is deleted, blocked or has another phone by now."""
    rows = User.filter(id=user_id, phone=phone, deleted_at__isnull=True, is_blocked=False)
    return bool(await rows.update(last_sign_in_at=now))


async def has_devices(user_id: UUID, *, phone: str, generation: int) -> bool:
    """Whether device tokens of this generation are good: the user still has this phone, is not
    blocked, and nothing has ended them.
    """
    return bool(await database.query(_HAS_DEVICES, user_id, phone, generation))


async def end_devices(user_id: UUID) -> None:
    """End all device tokens of a user."""
    await database.query(_END_DEVICES, user_id)


async def change_invitee_count(user_id: UUID, by: int) -> int:
    """The count right after it: whoever changes it meanwhile waits for this transaction."""
    (row,) = await database.query(_CHANGE_INVITEE_COUNT, user_id, by)
    number: int = row["invitee_count"]
    return number


async def lock_admins() -> None:
    """Let nobody else take an administrator away until the transaction ends.

    To be taken before any user is locked.
    """
    await database.advisory_lock(database.Lock.ADMINS)


async def has_admin(*, besides: UUID, not_of: Collection[str]) -> bool:
    """Whether there is an administrator who is not blocked, not this user and of other phones."""
    rows = User.filter(is_admin=True, is_blocked=False, deleted_at__isnull=True)
    return await rows.exclude(id=besides).exclude(phone__in=list(not_of)).exists()


async def add_admin_grant(phone: str) -> None:
    """Let this phone's first sign-in make an administrator."""
    await AdminGrant.bulk_create([AdminGrant(phone=phone)], ignore_conflicts=True)


async def take_admin_grant(phone: str) -> bool:
    """Whether a grant waited for this phone; it does not any more."""
    return bool(await AdminGrant.filter(phone=phone).delete())


async def move_to_phone(user_id: UUID, phone: str) -> bool:
    """Change the phone; False, and the transaction is lost, where another user has it."""
    try:
        await User.filter(id=user_id).update(phone=phone, inviter_sees_phone=False)
    except IntegrityError:
        return False
    return True


class _Values(list[object]):
    """The values of a statement that is being written."""

    def add(self, value: object) -> str:
        """Keep a value; answers its placeholder."""
        self.append(value)
        return f"${len(self)}"


async def _found_by_index(search: Search, values: _Values) -> str | None:
    """An id, a link, or a phone that somebody has is all that is meant."""
    if search.user_id is not None:
        return f"users.id = {values.add(search.user_id)}"
    if search.is_link:
        return f"users.invite_code = {values.add(search.invite_code)}"
    found = await find_by_phones(search.phones)
    marks = ", ".join(values.add(user.phone) for user in found)
    return f"users.phone IN ({marks})" if found else None


def _fits(search: Search, values: _Values) -> str:
    fits = [" AND ".join(_has(word, values) for word in search.words)]
    fits += [_has_digits(digits, values) for digits in search.digits]
    if search.invite_code is not None:
        fits.append(f"users.invite_code = {values.add(search.invite_code)}")
    return " OR ".join(fits)


def _has(word: Word, values: _Values) -> str:
    fits = [_contains("name", word.text, values), _contains("email", word.text, values)]
    if word.digits is not None:
        fits.append(_has_digits(word.digits, values))
    return f"({' OR '.join(fits)})"


def _has_digits(digits: str, values: _Values) -> str:
    pattern = f"{digits}%" if digits.startswith("+") else f"%{digits}%"
    return f"users.phone LIKE {values.add(pattern)}"


def _contains(column: str, text: str, values: _Values) -> str:
    """Whether a column has this text in it, in any case."""
    places = searches.spellings(text)
    if database.is_postgres():
        # re.escape() puts a backslash before the signs of ASCII that mean something
        pattern = "".join(f"[{place}]" if len(place) > 1 else re.escape(place) for place in places)
        return f"users.{column} ~ {values.add(pattern)}"
    pattern = "".join(
        f"[{place}]" if len(place) > 1 or place in _GLOB_SIGNS else place for place in places
    )
    return f"users.{column} GLOB {values.add(f'*{pattern}*')}"
