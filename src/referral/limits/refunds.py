"""Refunds of charges: what a process refunds at the same time goes in one statement.

Each sign-in refunds its send to the address, and those behind one address would wait for each other
at its counter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from referral.limits.batcher import Batcher
from referral.limits.gcra import Charge
from referral.storage import database, dialect

# On PostgreSQL in the order in which charges lock counters: else two calls could wait for each
# other. max_ahead: how far ahead of now the TAT of a counter lies that is refunded
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
# A refund that a crash of PostgreSQL loses leaves one charge too many, so the commit does not wait
# for the disk. This applies to the statement's own transaction only
_POSTGRES_PARTS = {
    "lock": "FOR UPDATE OF counters",
    "asynchronous": ", asynchronous AS (SELECT set_config('synchronous_commit', 'off', true))",
    "also": ", asynchronous",
}


async def refund(charges: Sequence[Charge], *, now: int) -> None:
    """Refund charges with the next statement, even if the caller is cancelled meanwhile.

    A counter whose TAT was advanced beyond what charges reach is left as it is.
    """
    await asyncio.shield(_batcher.submit((charges, now)))


async def _run(calls: Sequence[tuple[Sequence[Charge], int]]) -> list[None]:
    amounts: Counter[str] = Counter()
    max_ahead: dict[str, int] = {}
    for charges, _ in calls:
        for each in charges:
            amounts[each.key] += each.increment
            max_ahead[each.key] = each.max_tat + each.increment // 2
    rows = [(key, amount, max_ahead[key]) for key, amount in amounts.items()]
    sql, values = dialect.values_table(("TEXT", "BIGINT", "BIGINT"), rows, first=2)
    parts = _POSTGRES_PARTS if database.is_postgres() else dict.fromkeys(_POSTGRES_PARTS, "")
    now = max(now for _, now in calls)
    await database.query(_REFUND.format(rows=sql, **parts), now, *values)
    return [None] * len(calls)


# A send has at most ten charges of three values each; SQLite takes 32,766 values in a statement
_batcher = Batcher(_run, statements=1, calls=1000)
