"""Judging a guess at a code and, if it is right, signing in, in one statement of PostgreSQL.

It follows the rules of limits/guesses.py, and takes the steps of `service.sign_in.verify` for an
existing user without an invite code. In steps, such a sign-in is twelve statements, for which
Tortoise builds four models and six SQL texts. New users, sign-ins with an invite code, and SQLite,
which runs in this process, take the steps.

The common table expressions (CTEs) of the statement run in this order:

1. `seen` reads the counters without locks. Most guesses over a limit are refused here, and lock
   and write nothing.
2. `held` locks the existing counters of the challenge and the phone, in the order of their keys,
   and `state` has their values as of the lock. `judged` decides.
3. `added` adds the counters that are missing, without ON CONFLICT: a counter that another
   transaction has added since the statement began violates the primary key, and the next attempt
   sees it. So two
   guesses at one phone never both pass a check that the other's charge would have failed.
4. `changed` charges a wrong guess, to the counters of the address last: those are not locked
   before. For a right guess it marks the challenge as spent, if the phone has a user who is not
   blocked.
5. The user is marked as signed in; the session and the audit entry are added. If the user was
   blocked or deleted since `known` found them, the session has no user: that violates a constraint,
   which undoes everything, and the next attempt finds nobody.

PostgreSQL guarantees no order between CTEs: counting the rows of one makes the next wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from msgspec import Struct
from tortoise.exceptions import IntegrityError

from referral.limits import charge_statement
from referral.limits.counters import Advance
from referral.limits.gcra import Charge
from referral.storage import database, dialect
from referral.storage.audit import NewEntry
from referral.storage.profiles import SIGNED_IN_PROFILE, UserProfileRow
from referral.storage.sessions import NEW_SESSION_COLUMNS, NewSession

_ATTEMPTS = 5

# $1: phone. $2, $3: the challenge's counter, and its TAT once it is spent. $4: now. $5: whether the
# guess is right. The others: columns of the session and of the audit entry
_JUDGE = f"""
    WITH wanted (key, increment, tolerance, max_tat) AS ({{wanted}}),
    seen AS MATERIALIZED (
        SELECT key, increment, tolerance, max_tat, key IN ({{keys_to_lock}}) AS is_locked,
               COALESCE((SELECT tat FROM counters WHERE counters.key = wanted.key), 0) AS tat
        FROM wanted
    ),
    held AS MATERIALIZED (
        SELECT key, tat FROM counters
        WHERE key IN ({{keys_to_lock}})
        AND (SELECT bool_and(tat + increment - $4 <= tolerance) FROM seen)
        ORDER BY key FOR UPDATE
    ),
    state AS MATERIALIZED (
        SELECT key, increment, tolerance, max_tat, is_locked,
               is_locked AND key NOT IN (SELECT key FROM held) AS is_missing,
               COALESCE((SELECT tat FROM held WHERE held.key = seen.key), tat) AS tat
        FROM seen
    ),
    judged AS MATERIALIZED (
        SELECT bool_and(tat + increment - $4 <= tolerance) AS is_allowed FROM state
    ),
    known AS MATERIALIZED (
        SELECT 1 FROM users
        WHERE (SELECT is_allowed FROM judged) AND $5 AND phone = $1 AND NOT is_blocked
    ),
    added AS (
        INSERT INTO counters (key, tat)
        SELECT key, CASE WHEN NOT $5 THEN LEAST(increment, max_tat) + $4
                         WHEN key = $2 AND EXISTS (SELECT 1 FROM known) THEN $3 ELSE 0 END
        FROM state WHERE is_missing AND (SELECT is_allowed FROM judged)
        ORDER BY key
        RETURNING key
    ),
    changed AS (
        INSERT INTO counters (key, tat)
        SELECT key, CASE WHEN $5 THEN $3 ELSE LEAST(increment, max_tat) + $4 END
        FROM state
        WHERE NOT is_missing AND (SELECT is_allowed FROM judged)
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
    new_session AS (
        INSERT INTO sessions ({NEW_SESSION_COLUMNS})
        SELECT $7, (SELECT id FROM signed_in), $8, $9, $10, $11, $6, $6, $16 FROM known
        RETURNING user_id
    ),
    audited AS (
        INSERT INTO audit_entries (id, at, action, actor, user_id, address)
        SELECT $12, $13, $14, 'user:' || user_id, user_id, $15 FROM new_session
    ),
    profile AS ({SIGNED_IN_PROFILE})
    SELECT judged.is_allowed, (SELECT tat FROM state WHERE key = $2) AS challenge_tat, profile.*
    FROM judged LEFT JOIN profile ON TRUE
"""  # noqa: S608 - only constants


class Guess(Struct, frozen=True):
    """A guess that was compared with its challenge's code, and is not judged yet.

    charges_to_lock: charges to the challenge, which comes first, and to the phone; their counters
    are locked. address_charges: charges to the address. spent: marks the challenge as spent. now:
    microseconds.
    """

    is_right: bool
    charges_to_lock: Sequence[Charge]
    address_charges: Sequence[Charge]
    spent: Advance
    now: int

    @property
    def charges(self) -> list[Charge]:
        """All charges. The first that is exhausted is the one to report."""
        return [*self.charges_to_lock, *self.address_charges]


class Judged(Struct, frozen=True):
    """A judged guess.

    is_allowed: False if a budget was exhausted; then nothing was charged. challenge_tat: the TAT of
    the challenge's counter before the guess. profile: that of the user who was signed in, if any.
    """

    is_allowed: bool
    challenge_tat: int
    profile: UserProfileRow | None = None


async def judge(phone: str, guess: Guess, session: NewSession, entry: NewEntry) -> Judged:
    """Judge a guess, and sign the phone's user in if it is right.

    A wrong guess is charged. A right one spends the challenge and adds the session and the audit
    entry if the phone has a user who is not blocked; otherwise it changes nothing.

    Only for PostgreSQL. Raises Conflict if every attempt conflicts with another transaction.
    """
    values = [
        phone,
        guess.spent.key,
        guess.spent.tat,
        guess.now,
        guess.is_right,
        session.created_at,
        session.id,
        session.family_digest,
        session.refresh_digest,
        session.user_agent,
        session.proof,
        entry.id,
        entry.at,
        entry.action,
        entry.address,
        session.address_digest,
        *(each.key for each in guess.charges_to_lock),
    ]
    first = len(values) + 1
    wanted, charges = charge_statement.charges_table(guess.charges, first=first)
    sql = _formatted(wanted, first - len(guess.charges_to_lock), first)
    for _ in range(_ATTEMPTS):
        try:
            (row,) = await database.query(sql, *values, *charges)
        except (IntegrityError, database.Conflict):
            continue
        profile = cast("UserProfileRow", row) if row["id"] is not None else None
        return Judged(row["is_allowed"], row["challenge_tat"], profile)
    raise database.Conflict


@lru_cache
def _formatted(wanted: str, first: int, end: int) -> str:
    """Return the statement. Placeholders from `first` to before `end` are the keys to lock."""
    keys = dialect.placeholders(end - first, first=first)
    return _JUDGE.format(wanted=wanted, keys_to_lock=keys)
