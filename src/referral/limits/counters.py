"""The counters of the limits: one TAT each, charged atomically by any number of processes.

Several counters are charged in one statement: all of them, or none if one is exhausted. If two
calls both see the last unit, the lock of the row decides which of them gets it. limits/gcra.py has
the arithmetic. A counter whose TAT has passed means the same as none, and is purged.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct
from tortoise.exceptions import IntegrityError

from referral.limits import charge_statement
from referral.limits.batcher import Batcher
from referral.limits.gcra import Charge
from referral.storage import database, dialect
from referral.storage.purging import delete_batch

_READ = "SELECT key, tat FROM counters WHERE key IN ({keys})"
# SQLite has one writer at a time, so any write locks all counters
_LOCK_IN_SQLITE = """
    INSERT INTO counters (key, tat)
    SELECT wanted.*, 0 FROM ({keys}) AS wanted WHERE TRUE
    ON CONFLICT (key) DO UPDATE SET tat = counters.tat
    RETURNING key, tat
"""
# In the order of sign_in_statement.py, else two guesses could wait for each other: first the
# counters that exist, then those that are missing. Without ON CONFLICT: a counter that another
# transaction has just added violates the primary key, and the next attempt sees it
_LOCK = """
    WITH wanted (key) AS ({keys}),
    held AS MATERIALIZED (
        SELECT key, tat FROM counters WHERE key IN (SELECT key FROM wanted)
        ORDER BY key FOR UPDATE
    ),
    added AS (
        INSERT INTO counters (key, tat)
        SELECT key, 0 FROM wanted WHERE key NOT IN (SELECT key FROM held) ORDER BY key
        RETURNING key, tat
    )
    SELECT key, tat FROM held UNION ALL SELECT key, tat FROM added
"""
_ADVANCE = """
    INSERT INTO counters (key, tat) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET tat = excluded.tat
    WHERE counters.tat < $3
    RETURNING key
"""
_CLEAR = "DELETE FROM counters WHERE key = $1"
_CLEAR_AT = "DELETE FROM counters WHERE key = $1 AND tat = $2"

# On PostgreSQL, rows are locked in the same order as by charges, or two calls could wait for each
# other. max_ahead: a counter whose TAT is further ahead of now is not refunded
_REFUND = """
    WITH wanted (key, amount, max_ahead) AS ({rows}),
    found AS (
        SELECT counters.key, wanted.amount FROM counters JOIN wanted ON counters.key = wanted.key
        WHERE counters.tat > CAST($1 AS BIGINT)
        AND counters.tat - CAST($1 AS BIGINT) <= wanted.max_ahead
        ORDER BY counters.key {lock}
    ){asynchronous}
    UPDATE counters SET tat = counters.tat - found.amount FROM found{also}
    WHERE counters.key = found.key
"""
# The commit does not wait for the disk: a refund that a crash loses leaves one charge too many. The
# setting applies to the statement's own transaction, and only if the UPDATE selects from it
_POSTGRES_PARTS = {
    "lock": "FOR UPDATE OF counters",
    "asynchronous": ", asynchronous AS (SELECT set_config('synchronous_commit', 'off', true))",
    "also": ", asynchronous",
}


class Advance(Struct, frozen=True):
    """A move of a counter to `tat`, if its TAT is earlier than `below` or it does not exist."""

    key: str
    tat: int
    below: int


async def charge(charges: Sequence[Charge], *, now: int) -> dict[str, int] | None:
    """Charge all counters and return their TATs; None, and none charged, if one is exhausted."""
    return await _all_or_none(await charge_statement.charge(charges, now=now), charges, now)


async def read_and_charge(
    keys: Sequence[str], charges: Sequence[Charge], *, now: int
) -> tuple[dict[str, int], dict[str, int] | None]:
    """Read counters as `read` does, then charge as `charge` does.

    PostgreSQL does both in one statement, and calls that arrive while two such statements run share
    the next one: a send takes a seventh less time. So it is only for counters that no transaction
    locks for longer than a statement, because all calls that share it would wait.
    """
    if not database.is_postgres():
        return await read(keys), await charge(charges, now=now)
    before, charged = await charge_statement.read_and_charge(keys, charges, now=now)
    return before, await _all_or_none(charged, charges, now)


async def refund(charges: Sequence[Charge], *, now: int) -> None:
    """Refund charges, as far as their buckets have not refilled since, even if the caller is
    cancelled meanwhile.

    Refunds of this process share statements: each sign-in refunds its send to the address, and
    sign-ins from one address would wait for each other at its counter. A counter that was advanced
    beyond its `max_tat` stays where it is.
    """
    if charges:
        await asyncio.shield(_refunds.submit((charges, now)))


async def read(keys: Iterable[str]) -> dict[str, int]:
    """Return the TATs of counters, without those that do not exist."""
    sql, values = dialect.values_table(("TEXT",), [(key,) for key in keys], first=1)
    rows = await database.query(_READ.format(keys=sql), *values)
    return {row["key"]: row["tat"] for row in rows}


async def lock(keys: Iterable[str]) -> dict[str, int]:
    """Lock counters until the current transaction ends, and return their TATs.

    Adds those that do not exist. Raises Conflict if another transaction has just added one.
    """
    sql, values = dialect.values_table(("TEXT",), [(key,) for key in keys], first=1)
    statement = _LOCK if database.is_postgres() else _LOCK_IN_SQLITE
    try:
        rows = await database.query(statement.format(keys=sql), *values)
    except IntegrityError as error:
        raise database.Conflict from error
    return {row["key"]: row["tat"] for row in rows}


async def advance(wanted: Advance) -> bool:
    """Move a counter. Return False if its TAT was not earlier than `below`."""
    return bool(await database.query(_ADVANCE, wanted.key, wanted.tat, wanted.below))


async def clear(key: str, *, tat: int | None = None) -> None:
    """Delete a counter. tat: if given, delete it only if its TAT is still this one."""
    if tat is None:
        await database.query(_CLEAR, key)
    else:
        await database.query(_CLEAR_AT, key, tat)


async def purge(*, before: int, batch_size: int) -> int:
    """Delete a batch of counters that have refilled; return how many were deleted."""
    return await delete_batch("counters", "key", before, where="tat < $1", batch_size=batch_size)


async def _all_or_none(
    charged: dict[str, int], charges: Sequence[Charge], now: int
) -> dict[str, int] | None:
    if len(charged) == len(charges):
        return charged
    # Another call took a counter's last unit after this statement had read it
    await refund([each for each in charges if each.key in charged], now=now)
    return None


async def _run_refunds(calls: Sequence[tuple[Sequence[Charge], int]]) -> list[None]:
    amounts: Counter[str] = Counter()
    max_ahead: dict[str, int] = {}
    for charges, _ in calls:
        for each in charges:
            amounts[each.key] += each.increment
            # Half an increment more, since other calls may have charged it at a later time
            max_ahead[each.key] = each.max_tat + each.increment // 2
    rows = [(key, amount, max_ahead[key]) for key, amount in amounts.items()]
    sql, values = dialect.values_table(("TEXT", "BIGINT", "BIGINT"), rows, first=2)
    parts = _POSTGRES_PARTS if database.is_postgres() else dict.fromkeys(_POSTGRES_PARTS, "")
    now = max(now for _, now in calls)
    await database.query(_REFUND.format(rows=sql, **parts), now, *values)
    return [None] * len(calls)


# A call has at most ten charges, and a statement's time grows with their square: 1,000 take 0.2 s,
# and 7,000 took over 10 s
_refunds = Batcher(_run_refunds, statements=1, calls=100, timeout_fails_waiting=False)
