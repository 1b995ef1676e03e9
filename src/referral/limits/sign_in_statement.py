"""A guess at a code and the sign-in that a right one leads to, in one statement of PostgreSQL.

In steps a sign-in is twelve statements, for which Tortoise builds four models and six texts.
`service.login` has the steps. SQLite, which runs in the process itself, always takes them;
PostgreSQL takes them for new users and with an invite code.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from msgspec import Struct
from tortoise.exceptions import IntegrityError

from referral.limits import batcher
from referral.limits.counters import Advance
from referral.limits.gcra import Charge
from referral.storage import database
from referral.storage.audit import NewEntry
from referral.storage.profiles import OF_SIGNED_IN, UserProfileRow
from referral.storage.sessions import NewSession

_ATTEMPTS = 5

# The rules of service.guesses in SQL. A look without locks turns most refused guesses away, so
# that they write nothing. Then the challenge's and the phone's counters are locked in the order of
# their keys, and read again as the last transaction left them. Counters that are missing are added
# without ON CONFLICT: one that another transaction has added since the statement began breaks it,
# and the next attempt sees it. So two guesses at one phone never both pass a check that the other
# one's charge would fail. Counters of the address come last and are not locked before.
#
# A count of a step's rows makes the next one wait for it: PostgreSQL promises no order by itself.
# The user is looked up only once a right guess has passed. If they were blocked or deleted since,
# the session has no user: an error, which undoes everything, and the next attempt finds nobody.
_GUESS = f"""
    WITH wanted (key, increment, tolerance, max_tat) AS ({{wanted}}),
    seen AS MATERIALIZED (
        SELECT key, increment, tolerance, max_tat, key IN ({{locked}}) AS is_locked,
               COALESCE((SELECT tat FROM counters WHERE counters.key = wanted.key), 0) AS tat
        FROM wanted
    ),
    held AS MATERIALIZED (
        SELECT key, tat FROM counters
        WHERE key IN ({{locked}}) AND (SELECT bool_and(tat + increment - $4 <= tolerance) FROM seen)
        ORDER BY key FOR UPDATE
    ),
    state AS MATERIALIZED (
        SELECT key, increment, tolerance, max_tat, is_locked,
               is_locked AND key NOT IN (SELECT key FROM held) AS is_missing,
               COALESCE((SELECT tat FROM held WHERE held.key = seen.key), tat) AS tat
        FROM seen
    ),
    judged AS MATERIALIZED (
        SELECT bool_and(tat + increment - $4 <= tolerance) AS is_taken FROM state
    ),
    known AS MATERIALIZED (
        SELECT 1 FROM users
        WHERE (SELECT is_taken FROM judged) AND $5 AND phone = $1 AND NOT is_blocked
    ),
    added AS (
        INSERT INTO counters (key, tat)
        SELECT key, CASE WHEN NOT $5 THEN LEAST(increment, max_tat) + $4
                         WHEN key = $2 AND EXISTS (SELECT 1 FROM known) THEN $3 ELSE 0 END
        FROM state WHERE is_missing AND (SELECT is_taken FROM judged)
        ORDER BY key
        RETURNING key
    ),
    changed AS (
        INSERT INTO counters (key, tat)
        SELECT key, CASE WHEN $5 THEN $3 ELSE LEAST(increment, max_tat) + $4 END
        FROM state
        WHERE NOT is_missing AND (SELECT is_taken FROM judged)
        AND (NOT $5 OR key = $2 AND EXISTS (SELECT 1 FROM known))
        AND (SELECT COUNT(*) FROM added) >= 0
        ORDER BY is_locked DESC, key
        ON CONFLICT (key) DO UPDATE SET tat = CASE WHEN $5 THEN excluded.tat ELSE (
            SELECT LEAST(GREATEST(counters.tat - $4, 0) + increment, max_tat) + $4
            FROM wanted WHERE wanted.key = counters.key
        ) END
        RETURNING key
    ),
    signed_in AS (
        UPDATE users SET last_sign_in_at = $6
        WHERE phone = $1 AND NOT is_blocked AND EXISTS (SELECT 1 FROM known)
        AND (SELECT COUNT(*) FROM changed) >= 0
        RETURNING *
    ),
    begun AS (
        INSERT INTO sessions (id, user_id, family_digest, refresh_digest, user_agent, proof,
                              created_at, last_used_at)
        SELECT $7, (SELECT id FROM signed_in), $8, $9, $10, $11, $6, $6 FROM known
        RETURNING user_id
    ),
    entered AS (
        INSERT INTO audit_entries (id, at, action, actor, user_id, address)
        SELECT $12, $13, $14, 'user:' || user_id, user_id, $15 FROM begun
    ),
    profile AS ({OF_SIGNED_IN})
    SELECT judged.is_taken, (SELECT tat FROM state WHERE key = $2) AS challenge_tat, profile.*
    FROM judged LEFT JOIN profile ON TRUE
"""  # noqa: S608 - our own words


class Guess(Struct, frozen=True):
    """A guess at a challenge's code, compared and not judged yet.

    locked: charges of the challenge and the phone, the challenge's first. of_address: those of
    the address. spent: marks the challenge as spent. now: microseconds.
    """

    is_right: bool
    locked: Sequence[Charge]
    of_address: Sequence[Charge]
    spent: Advance
    now: int


class Judged(Struct, frozen=True):
    """A judged guess.

    is_taken: False if a budget was exhausted, and nothing was charged. challenge_tat: the
    challenge's counter before the guess. profile: of the user whom it signed in.
    """

    is_taken: bool
    challenge_tat: int
    profile: UserProfileRow | None = None


async def guess(phone: str, guess: Guess, session: NewSession, entry: NewEntry) -> Judged:
    """Judge a guess. A wrong one is charged; a right one spends its challenge, marks the user as
    signed in, adds the session and the audit entry, if the phone has a user who is not blocked.

    For PostgreSQL. Raises Conflict if other guesses at this phone keep interfering.
    """
    values = [
        phone,
        guess.spent.key,
        guess.spent.tat,
        guess.now,
        guess.is_right,
        session.begun_at,
        session.id,
        session.family_digest,
        session.refresh_digest,
        session.user_agent,
        session.proof,
        entry.id,
        entry.at,
        entry.action,
        entry.address,
        *(each.key for each in guess.locked),
    ]
    first = len(values) + 1
    wanted, charges = batcher.table([*guess.locked, *guess.of_address], first=first)
    sql = _written(wanted, first - len(guess.locked), first)
    for _ in range(_ATTEMPTS):
        try:
            (row,) = await database.query(sql, *values, *charges)
        except (IntegrityError, database.Conflict):
            continue
        profile = cast("UserProfileRow", row) if row["id"] is not None else None
        return Judged(row["is_taken"], row["challenge_tat"], profile)
    raise database.Conflict


@lru_cache
def _written(wanted: str, first: int, end: int) -> str:
    """The statement, whose placeholders from `first` to before `end` are the keys to lock."""
    return _GUESS.format(
        wanted=wanted, locked=", ".join(f"${place}" for place in range(first, end))
    )
