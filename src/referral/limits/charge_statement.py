"""The statement that charges counters: either all counters of a call, or none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from msgspec import json

from referral.limits.batcher import Batcher
from referral.limits.gcra import Charge
from referral.storage import database, dialect

# Larger than any TAT that is compared with it
_NEVER_REFUSED = 1 << 62

# Rows are looked up in subqueries of one value each, never in joins: PostgreSQL would keep a plan
# for a join that reads the whole table if the table was small when it was planned.
# call: its rows are charged together or not at all. now: the call's. No key occurs twice
_WANTED = """
    WITH wanted (call, now, key, increment, tolerance, max_tat) AS ({rows}),
    exhausted_calls (call) AS (
        SELECT call FROM wanted
        WHERE (SELECT tat FROM counters WHERE counters.key = wanted.key) + increment - now
              > tolerance
    )
"""
_CHARGE = """
    INSERT INTO counters (key, tat)
    SELECT key, now + increment FROM wanted WHERE call NOT IN (SELECT call FROM exhausted_calls)
    ORDER BY key
    ON CONFLICT (key) DO UPDATE SET tat = (
        SELECT CASE WHEN ahead > max_tat THEN max_tat ELSE ahead END + now
        FROM (
            SELECT CASE WHEN counters.tat > now THEN counters.tat - now ELSE 0 END + increment
                   AS ahead, max_tat, now
            FROM wanted WHERE wanted.key = counters.key
        ) AS charged
    )
    WHERE counters.tat <= (
        SELECT tolerance + now - increment FROM wanted WHERE wanted.key = counters.key
    )
    RETURNING key, tat
"""
_CHARGE_ALL = _WANTED + _CHARGE
# One row with two texts, which the driver reads in a fifth of the time of a row for each counter
_READ_AND_CHARGE = f"""
    {_WANTED},
    charged AS ({_CHARGE})
    SELECT (SELECT CAST(json_object_agg(key, tat) AS TEXT) FROM charged) AS charged,
           (SELECT CAST(json_object_agg(key, tat) AS TEXT)
            FROM counters WHERE key IN ({{keys}})) AS before
"""  # noqa: S608 - only constants
_TATS_DECODER = json.Decoder(dict[str, int])

_Request = tuple[Sequence[str], Sequence[Charge], int]
"""Keys to read, charges, and the time."""


async def charge(charges: Sequence[Charge], *, now: int) -> dict[str, int]:
    """Charge all unless one is exhausted. Return the new TATs of the counters that were charged.

    If another call takes a counter's last unit meanwhile, only the others are charged.
    """
    sql, values = _calls_table([(charges, now)])
    rows = await database.query(_formatted(_CHARGE_ALL, sql), *values)
    return {row["key"]: row["tat"] for row in rows}


async def read_and_charge(
    keys: Sequence[str], charges: Sequence[Charge], *, now: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Read the TATs of `keys` and then `charge`, in one statement that other calls share.

    Only for PostgreSQL, and for counters that no transaction locks for longer than a statement: all
    calls in the statement would wait for it. Return the TATs before, which may include other calls'
    counters, and the new TATs of the counters that were charged.
    """
    return await _batcher.submit((keys, charges, now), keys={each.key for each in charges})


def charges_table(charges: Sequence[Charge], *, first: int) -> tuple[str, list[object]]:
    """Build SQL for a table of charges (key, increment, tolerance, max_tat), and its values.

    first: the number of its first placeholder.
    """
    rows = [_row(each) for each in charges]
    return dialect.values_table(("TEXT", "BIGINT", "BIGINT", "BIGINT"), rows, first=first)


async def _run(requests: Sequence[_Request]) -> list[tuple[dict[str, int], dict[str, int]]]:
    sql, values = _calls_table([(charges, now) for _, charges, now in requests])
    rows = [(key,) for keys, _, _ in requests for key in keys]
    keys_sql, more = dialect.values_table(("TEXT",), rows, first=1 + len(values))
    (row,) = await database.query(_formatted(_READ_AND_CHARGE, sql, keys_sql), *values, *more)
    before, charged = (_TATS_DECODER.decode(row[name] or "{}") for name in ("before", "charged"))
    return [
        (before, {each.key: charged[each.key] for each in charges if each.key in charged})
        for _, charges, _ in requests
    ]


_batcher = Batcher(_run, statements=2, calls=100, timeout_fails_waiting=True)


# Cached: the texts are long, and few differ
@lru_cache
def _formatted(statement: str, rows: str, keys: str = "") -> str:
    return statement.format(rows=rows, keys=keys)


def _calls_table(calls: Sequence[tuple[Sequence[Charge], int]]) -> tuple[str, list[object]]:
    """Build SQL for a table of the charges of several calls, each with its time."""
    rows = [
        (number, now, *_row(each))
        for number, (charges, now) in enumerate(calls)
        for each in charges
    ]
    types = ("INT", "BIGINT", "TEXT", "BIGINT", "BIGINT", "BIGINT")
    return dialect.values_table(types, rows, first=1)


def _row(charge: Charge) -> tuple[str, int, int, int]:
    tolerance = _NEVER_REFUSED if charge.tolerance is None else charge.tolerance
    return charge.key, charge.increment, tolerance, charge.max_tat
