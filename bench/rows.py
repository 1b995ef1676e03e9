"""The rows that exist before a measurement, made by SQL.

Users are numbered from 1. In the database of many, 1,000 of them have ten invitees each, one has
1,000 and one a million. Their ids are scattered over the index.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import md5
from uuid import UUID

import postgres
import sqlite
from referral.assembly import system_clock
from referral.core import cursor
from referral.core.cursor import Cursor

PROFILES, INVITEES_OF_EACH = 1000, 10
OF_A_THOUSAND, OF_A_MILLION = 1001, 1002
THOUSAND, MILLION = 1000, 1_000_000
ROOTS = 2000
_FIRST_OF_THOUSAND = ROOTS + PROFILES * INVITEES_OF_EACH + 1
_FIRST_OF_MILLION = _FIRST_OF_THOUSAND + THOUSAND
LEAST_OF_MANY = _FIRST_OF_MILLION + MILLION
FEW = 1000

_START = datetime(2026, 1, 1, tzinfo=UTC)
_ID = "CAST(md5('user ' || {}) AS UUID)"
_USERS = """
    INSERT INTO users (id, phone, name, email, invite_code, inviter_id, activated_at,
                       inviter_sees_phone, invitee_count, is_admin, is_blocked, created_at,
                       last_sign_in_at)
    SELECT {id_of_i}, '+7' || 9000000000 + i, 'Anna ' || i, 'anna' || i || '@example.com',
           lpad(upper(to_hex(i)), 6, '0'), {inviter}, at, true, {count}, false, false, at, at
    FROM (SELECT i, TIMESTAMPTZ '{start}' + i * INTERVAL '1 second' AS at
          FROM generate_series({first}, {last}) AS i) AS numbers
"""
_INVITER = f"""
    CASE WHEN i <= {ROOTS} THEN NULL
         WHEN i < {_FIRST_OF_THOUSAND} THEN {_ID.format(f"(i - {ROOTS} - 1) % {PROFILES} + 1")}
         WHEN i < {_FIRST_OF_MILLION} THEN {_ID.format(OF_A_THOUSAND)}
         WHEN i < {LEAST_OF_MANY} THEN {_ID.format(OF_A_MILLION)} END
"""
_COUNT = f"""
    CASE WHEN i <= {PROFILES} THEN {INVITEES_OF_EACH}
         WHEN i = {OF_A_THOUSAND} THEN {THOUSAND}
         WHEN i = {OF_A_MILLION} THEN {MILLION} ELSE 0 END
"""
# Live for the whole run: they are refilled only after a day
_COUNTERS = """
    INSERT INTO counters (key, tat)
    SELECT left(md5('counter ' || i), 22),
           CAST(extract(epoch FROM now()) * 1000000 AS BIGINT) + 86400000000 - i
    FROM generate_series(1, {number}) AS i
"""
_SESSIONS = """
    INSERT INTO sessions (id, user_id, family_digest, refresh_digest, user_agent, proof,
                          created_at, last_used_at)
    SELECT gen_random_uuid(), id, sha256(CAST(phone AS BYTEA)), sha256(CAST(phone AS BYTEA)),
           'Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36', 'sent', now(), now()
    FROM users ORDER BY md5(phone) LIMIT {number}
"""
_SIZED = 100_000


def user_id(number: int) -> UUID:
    """Return the id of the user of a number, as the SQL above makes it."""
    return UUID(bytes=md5(f"user {number}".encode(), usedforsecurity=False).digest())


def phone(number: int) -> str:
    return f"+7{9_000_000_000 + number}"


def page_after(invitees: int) -> str:
    """Return the cursor of the page after this many of a million invitees, newest first."""
    last = LEAST_OF_MANY - invitees
    return cursor.encode(Cursor(_START + timedelta(seconds=last), user_id(last)))


async def fill_few(url: str) -> None:
    """Add 1,000 users, and counters as if they had signed in."""
    await postgres.execute(
        url, _users(1, FEW, inviter="CAST(NULL AS UUID)", count="0"), "ANALYZE users"
    )
    await fill_counters(url, 10 * FEW)
    # Otherwise the first prepared statements would be planned for an empty table
    await postgres.execute(url, "ANALYZE counters")


def fill_few_in_sqlite(url: str) -> None:
    """Add the same rows as `fill_few`."""
    columns = (
        *("id", "phone", "name", "email", "invite_code", "created_at", "last_sign_in_at"),
        *("inviter_sees_phone", "invitee_count", "is_admin", "is_blocked"),
    )
    users = [
        (
            user_id(i),
            phone(i),
            f"Anna {i}",
            f"anna{i}@example.com",
            f"{i:06X}",
            *(_START + timedelta(seconds=i), _START + timedelta(seconds=i)),
            *(True, 0, False, False),
        )
        for i in range(1, FEW + 1)
    ]
    sqlite.copy(url, "users", columns, users)
    tomorrow = int((system_clock() + timedelta(days=1)).timestamp() * 1_000_000)
    counters = [(_counter(i), tomorrow - i) for i in range(1, 10 * FEW + 1)]
    sqlite.copy(url, "counters", ("key", "tat"), counters)


async def add(url: str, table: str, columns: list[str], records: list[tuple[object, ...]]) -> None:
    """Add rows to either database in bulk."""
    if sqlite.is_sqlite(url):
        sqlite.copy(url, table, columns, records)
    else:
        await postgres.copy(url, table, columns, records)


async def fill_many(url: str, users: int) -> None:
    """Add this many users with their invitees."""
    async with postgres.without_indexes(url, "users"):
        await postgres.execute(url, _users(1, users, inviter=_INVITER, count=_COUNT))


async def fill_counters(url: str, number: int) -> None:
    async with postgres.without_indexes(url, "counters"):
        await postgres.execute(url, _COUNTERS.format(number=number))


async def bytes_on_disk(url: str) -> dict[str, float]:
    """Return the size of a row with its share of the indexes, the mean of 100,000 rows.

    url: of a migrated database without rows.
    """
    fillings = {
        "users": _users(1, _SIZED, inviter="CAST(NULL AS UUID)", count="0"),
        "sessions": _SESSIONS.format(number=_SIZED),
        "counters": _COUNTERS.format(number=_SIZED),
    }
    sizes = {}
    async with postgres.connected(url) as connection:
        for table, filling in fillings.items():
            await connection.execute(filling)
            size = await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", table)
            sizes[table] = size / _SIZED
        await connection.execute(f"TRUNCATE {', '.join(fillings)} CASCADE")
    return sizes


def _users(first: int, last: int, *, inviter: str, count: str) -> str:
    return _USERS.format(
        start=_START.isoformat(),
        id_of_i=_ID.format("i"),
        inviter=inviter,
        count=count,
        first=first,
        last=last,
    )


def _counter(number: int) -> str:
    return md5(f"counter {number}".encode(), usedforsecurity=False).hexdigest()[:22]
