"""Charges that are taken back: what a process takes back at the same time goes together.

Each sign-in gives back, and those behind one address would wait for each other at its one row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import Context

from referral.limits.gcra import Charge
from referral.storage import database, dialect

# Both databases take 32,767 values in a statement
_AT_ONCE = 1000
_GIVE_BACK = """
    WITH wanted (key, taken, most) AS ({rows}),
    found AS (
        SELECT counters.key, wanted.taken FROM counters JOIN wanted ON counters.key = wanted.key
        WHERE counters.tat > CAST($1 AS BIGINT)
        AND counters.tat - CAST($1 AS BIGINT) <= wanted.most
        ORDER BY counters.key {lock}
    ){unwaited}
    UPDATE counters SET tat = counters.tat - found.taken FROM found{also}
    WHERE counters.key = found.key
"""
# A give-back that a crash of PostgreSQL loses leaves a charge too many, so nobody waits until it is
# on disk. For its own transaction alone, which is this one statement
_UNWAITED = ", unwaited AS (SELECT set_config('synchronous_commit', 'off', true))"


async def join(charges: Iterable[Charge], *, now: int) -> None:
    """Take these back in the next statement, until which others may join it."""
    await _next.join(charges, now)


class _GivingBack:
    """What goes back together. Others join it until its statement begins."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._most: dict[str, int] = {}
        self._now = 0
        self._done: asyncio.Task[None] | None = None

    async def join(self, charges: Iterable[Charge], now: int) -> None:
        self._now = max(self._now, now)
        for each in charges:
            self._taken[each.key] = self._taken.get(each.key, 0) + each.increment
            self._most[each.key] = each.max_tat + each.increment // 2
        if self._done is None:
            # Not in the context of the first, which may have a transaction under way
            self._done = database.spawn(self._send(), context=Context())
        await asyncio.shield(self._done)

    async def _send(self) -> None:
        global _next  # noqa: PLW0603 - as the connection, it is the process's
        async with _one_at_a_time:
            _next = _GivingBack()
            # In the order in which charges lock them, or two calls could wait for each other
            parts = dict.fromkeys(("lock", "unwaited", "also"), "")
            if database.is_postgres():
                lock = "FOR UPDATE OF counters"
                parts = {"lock": lock, "unwaited": _UNWAITED, "also": ", unwaited"}
            given = [(key, taken, self._most[key]) for key, taken in self._taken.items()]
            for begin in range(0, len(given), _AT_ONCE):
                some = given[begin : begin + _AT_ONCE]
                sql, values = dialect.table(("TEXT", "BIGINT", "BIGINT"), some, first=2)
                await database.query(_GIVE_BACK.format(rows=sql, **parts), self._now, *values)


_next = _GivingBack()
_one_at_a_time = asyncio.Lock()
