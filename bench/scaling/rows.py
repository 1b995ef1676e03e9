"""Rows as the service writes them, made by SQL, so that many of them take only seconds."""

from __future__ import annotations

import asyncpg

from referral.limits.gcra import DAY, Bucket, Charge
from referral.limits.policy import LimitName

# A user every second; nine of ten activated the code of one of the first hundredth. Ids are as
# random as those of the service
_USERS = """
    INSERT INTO users (id, phone, name, email, invite_code, inviter_id, activated_at,
                       inviter_sees_phone, invitee_count, is_admin, is_blocked, created_at,
                       last_sign_in_at)
    SELECT md5(i::text)::uuid, '+7' || 9000000000 + i, 'Anna Petrova', NULL,
           lpad(upper(to_hex(i)), 6, '0'),
           CASE WHEN i > $1 / 100 AND i % 10 > 0 THEN md5((i % ($1 / 100) + 1)::text)::uuid END,
           CASE WHEN i > $1 / 100 AND i % 10 > 0 THEN now() - i * interval '1 second' END,
           true, 0, false, false, now() - i * interval '1 second', now()
    FROM generate_series(1, $1::int) AS i ORDER BY md5((i * 7)::text)
"""
_SESSIONS = """
    INSERT INTO sessions (id, user_id, family_digest, refresh_digest, user_agent, proof,
                          created_at, last_used_at)
    SELECT md5('session' || i)::uuid, md5(i::text)::uuid, sha256(i::text::bytea),
           sha256(('r' || i)::bytea),
           'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15',
           'sent', now(), now()
    FROM generate_series(1, $1::int) AS i ORDER BY md5((i * 7)::text)
"""
_COUNTERS = """
    INSERT INTO counters (key, tat)
    SELECT left(translate(encode(sha256(i::text::bytea), 'base64'), '+/', '-_'), 22),
           1760000000000000 + (random() * 86400000000)::bigint
    FROM generate_series(1, $1::int) AS i
"""
_AUDIT = """
    INSERT INTO audit_entries (id, at, action, actor, user_id, address)
    SELECT md5('entry' || i)::uuid, now() + i * interval '1 second', 'signed_in',
           'user:' || md5(i::text)::uuid, md5(i::text)::uuid, '203.0.113.7'
    FROM generate_series(1, $1::int) AS i
"""


async def fill(
    url: str, number: int, *, users: bool = True, sessions: bool = True, counters: bool = True
) -> None:
    """Add this many users, each with a session, an entry of the audit trail and a counter."""
    statements = [_USERS] if users else []
    statements += [_SESSIONS, _AUDIT] if sessions else []
    statements += [_COUNTERS] if counters else []
    connection = await asyncpg.connect(url)
    try:
        for sql in statements:
            await connection.execute(sql, number)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def charge(number: int) -> Charge:
    """Return a charge of a counter that is never exhausted."""
    bucket = Bucket(1 << 40, DAY)
    return Charge(
        name=LimitName.SENDS_DAY,
        key=f"{number:022}",
        increment=1,
        tolerance=1 << 60,
        max_tat=1 << 60,
        bucket=bucket,
    )
