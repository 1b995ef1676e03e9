"""Refunds of charges. Those that a process makes at the same time share one statement.

Each sign-in refunds its send to the address, and sign-ins from one address would wait for each
other at its counter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from referral.limits.batcher import Batcher
from referral.limits.gcra import Charge
from referral.storage import database, dialect

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


async def refund(charges: Sequence[Charge], *, now: int) -> None:
    """Refund charges with the next statement, even if the caller is cancelled meanwhile.

    A counter whose TAT was advanced beyond the reach of charges is left as it is.
    """
    await asyncio.shield(_batcher.submit((charges, now)))


async def _run(calls: Sequence[tuple[Sequence[Charge], int]]) -> list[None]:
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
_batcher = Batcher(_run, statements=1, calls=100, timeout_fails_waiting=False)
