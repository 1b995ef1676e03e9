"""Counters: atomic, of any number of processes, and cleared away once they say nothing.

A counter is one number, see core/buckets.py. To charge several is one statement: where none is
full, all are charged, else none. Two calls that both see the last token meet at the row itself,
where one of them gets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from referral.core.buckets import Charge
from referral.storage import database

# Larger than any moment that is compared with it
_ALWAYS = 1 << 62

_CHARGE = """
    WITH wanted (key, token, room, cap) AS (VALUES {rows})
    INSERT INTO counters (key, moment)
    SELECT key, CAST($1 AS BIGINT) + token FROM wanted
    WHERE NOT EXISTS (
        SELECT 1 FROM wanted JOIN counters ON counters.key = wanted.key
        WHERE counters.moment + wanted.token - CAST($1 AS BIGINT) > wanted.room
    )
    ORDER BY key
    ON CONFLICT (key) DO UPDATE SET moment = (
        SELECT CASE WHEN ahead > wanted.cap THEN wanted.cap ELSE ahead END + CAST($1 AS BIGINT)
        FROM (
            SELECT CASE WHEN counters.moment > CAST($1 AS BIGINT)
                   THEN counters.moment - CAST($1 AS BIGINT) ELSE 0 END
                   + excluded.moment - CAST($1 AS BIGINT) AS ahead
        ) AS charged, wanted WHERE wanted.key = counters.key
    )
    WHERE counters.moment + excluded.moment - 2 * CAST($1 AS BIGINT)
          <= (SELECT room FROM wanted WHERE wanted.key = counters.key)
    RETURNING key, moment
"""
_ROW = "(CAST(${} AS TEXT), CAST(${} AS BIGINT), CAST(${} AS BIGINT), CAST(${} AS BIGINT))"
_GIVE_BACK = """
    WITH wanted (key, token, room, cap) AS (VALUES {rows}),
    found AS (
        SELECT counters.key, wanted.token FROM counters JOIN wanted ON counters.key = wanted.key
        WHERE counters.moment > CAST($1 AS BIGINT)
        AND counters.moment - CAST($1 AS BIGINT) <= wanted.cap + wanted.token / 2
        ORDER BY counters.key {lock}
    )
    UPDATE counters SET moment = counters.moment - found.token FROM found
    WHERE counters.key = found.key
"""
_READ = "SELECT key, moment FROM counters WHERE key IN ({keys})"
_RAISE = """
    INSERT INTO counters (key, moment) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET moment = excluded.moment
    WHERE counters.moment < $3
    RETURNING key
"""
_CLEAR = "DELETE FROM counters WHERE key = $1"
# Asked a second time, of the row as it is once its lock is had: one that is charged meanwhile stays
_FORGET = """
    DELETE FROM counters WHERE key IN (SELECT key FROM counters WHERE moment < $1 LIMIT $2)
    AND moment < $1
    RETURNING key
"""


async def charge(charges: Sequence[Charge], *, now: int) -> dict[str, int] | None:
    """Charge all of them, or none where one is full; answers their moments, or None."""
    rows = await database.query(_with_rows(_CHARGE, charges), now, *_values(charges))
    if len(rows) == len(charges):
        return {row["key"]: row["moment"] for row in rows}
    # Another call took the last token of one between the look and the charge
    charged = {row["key"] for row in rows}
    await give_back([each for each in charges if each.key in charged], now=now)
    return None


async def give_back(charges: Sequence[Charge], *, now: int) -> None:
    """Take charges back, as far as their buckets have not refilled since.

    A counter that `raise_to` put beyond its cap stays: what is spent is spent.
    """
    if charges:
        # In the order in which charges lock them, or two calls could wait for each other
        lock = "FOR UPDATE OF counters" if database.is_postgres() else ""
        sql = _with_rows(_GIVE_BACK, charges, lock=lock)
        await database.query(sql, now, *_values(charges))


async def read(keys: Iterable[str]) -> dict[str, int]:
    """The moments of counters; those that nobody charged are missing."""
    wanted = list(keys)
    places = ", ".join(f"${number}" for number in range(1, len(wanted) + 1))
    rows = await database.query(_READ.format(keys=places), *wanted)
    return {row["key"]: row["moment"] for row in rows}


async def raise_to(key: str, moment: int, *, below: int) -> bool:
    """Put a counter at a moment; False, and nothing done, where it stands at `below` or later."""
    return bool(await database.query(_RAISE, key, moment, below))


async def clear(key: str) -> None:
    await database.query(_CLEAR, key)


async def forget(*, before: int, most: int) -> int:
    """Delete counters that are full again; answers how many, `most` at a time."""
    return len(await database.query(_FORGET, before, most))


def _with_rows(sql: str, charges: Sequence[Charge], **more: str) -> str:
    rows = (_ROW.format(*range(2 + 4 * place, 6 + 4 * place)) for place in range(len(charges)))
    return sql.format(rows=", ".join(rows), **more)


def _values(charges: Sequence[Charge]) -> list[object]:
    return [
        value
        for each in charges
        for value in (each.key, each.token, _ALWAYS if each.room is None else each.room, each.cap)
    ]
