"""Counters: atomic, of any number of processes, and cleared away once they say nothing.

A counter is one number, see limits/gcra.py. To charge several is one statement: where none is
full, all are charged, else none. Two calls that both see the last increment meet at the row itself,
where one of them gets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from tortoise.exceptions import IntegrityError

from referral.limits import batcher, refunds
from referral.limits.gcra import Charge
from referral.storage import database, dialect
from referral.storage.purging import delete_batch

_READ = "SELECT key, tat FROM counters WHERE key IN ({keys})"
# SQLite has one writer at a time
_LOCK_IN_SQLITE = """
    INSERT INTO counters (key, tat)
    SELECT wanted.*, 0 FROM ({keys}) AS wanted WHERE TRUE
    ON CONFLICT (key) DO UPDATE SET tat = counters.tat
    RETURNING key, tat
"""
# In the order of sign_ins.py, or two guesses would wait for each other: what is there, then what
# is missing. Without ON CONFLICT: a counter that was added since breaks it, and the next attempt
# sees it
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
_RAISE = """
    INSERT INTO counters (key, tat) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET tat = excluded.tat
    WHERE counters.tat < $3
    RETURNING key
"""
_CLEAR = "DELETE FROM counters WHERE key = $1"
_CLEAR_AT = "DELETE FROM counters WHERE key = $1 AND tat = $2"


async def charge(charges: Sequence[Charge], *, now: int) -> dict[str, int] | None:
    """Charge all of them, or none where one is full; answers their tats, or None."""
    return await _all_or_none(await batcher.alone(charges, now=now), charges, now)


async def lock(keys: Iterable[str]) -> dict[str, int]:
    """Lock counters until the transaction under way ends, those that are missing too.

    Returns the tat of each. Raises Conflict if another transaction has just added one.
    """
    sql, values = dialect.table(("TEXT",), [(key,) for key in keys], first=1)
    statement = _LOCK if database.is_postgres() else _LOCK_IN_SQLITE
    try:
        rows = await database.query(statement.format(keys=sql), *values)
    except IntegrityError as error:
        raise database.Conflict from error
    return {row["key"]: row["tat"] for row in rows}


async def read_and_charge(
    keys: Sequence[str], charges: Sequence[Charge], *, now: int
) -> tuple[dict[str, int], dict[str, int] | None]:
    """As `read`, and then `charge`.

    PostgreSQL does both in one statement, and for all who come while two others are on their way:
    a send takes a seventh less time, and one commit is for all of them. So it is for counters that
    no transaction holds for longer than a statement: others would wait for it.
    """
    if not database.is_postgres():
        return await read(keys), await charge(charges, now=now)
    before, charged = await batcher.with_others(keys, charges, now=now)
    return before, await _all_or_none(charged, charges, now)


class Advance(Struct, frozen=True):
    """Put a counter at a tat, unless it stands at `below` or later."""

    key: str
    tat: int
    below: int


async def refund(charges: Sequence[Charge], *, now: int) -> None:
    """Take charges back, as far as their buckets have not refilled since.

    A counter that `raise_to` put beyond its max_tat stays: what is spent is spent.
    """
    if charges:
        await refunds.join(charges, now=now)


async def read(keys: Iterable[str]) -> dict[str, int]:
    """The tats of counters; those that nobody charged are missing."""
    sql, values = dialect.table(("TEXT",), [(key,) for key in keys], first=1)
    rows = await database.query(_READ.format(keys=sql), *values)
    return {row["key"]: row["tat"] for row in rows}


async def advance(wanted: Advance) -> bool:
    """False, and nothing done, where the counter stands at `below` or later."""
    return bool(await database.query(_RAISE, wanted.key, wanted.tat, wanted.below))


async def clear(key: str, *, tat: int | None = None) -> None:
    """Empty a counter. tat: only if it still stands there."""
    if tat is None:
        await database.query(_CLEAR, key)
    else:
        await database.query(_CLEAR_AT, key, tat)


async def purge(*, before: int, most: int) -> int:
    """Delete counters that are full again; answers how many, `most` at a time."""
    return await delete_batch("counters", "key", before, over="tat < $1", most=most)


async def _all_or_none(
    charged: dict[str, int], charges: Sequence[Charge], now: int
) -> dict[str, int] | None:
    if len(charged) == len(charges):
        return charged
    # Another call took the last increment of one between the look and the charge
    await refund([each for each in charges if each.key in charged], now=now)
    return None
