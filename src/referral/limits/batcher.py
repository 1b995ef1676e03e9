"""Charging counters: all that a call wants charged, or nothing, in one statement.

On PostgreSQL calls that come together share a statement, which reads counters too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from contextvars import Context
from functools import lru_cache

from msgspec import Struct, json

from referral.limits.gcra import Charge
from referral.storage import database, dialect

# So many statements for several calls are on their way at a time
_STATEMENTS, _CALLS_AT_ONCE = 2, 100
# Larger than any tat that is compared with it
_ALWAYS = 1 << 62

# What is looked up stands in subqueries of one value each, never in joins: for those PostgreSQL
# would keep a plan that reads the whole table where it was small when first asked.
# call: which rows are charged together or not at all. now: the call's. No key stands in it twice
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
# One row, whose texts are read in a fifth of the time of so many rows
_READ_AND_CHARGE = f"""
    {_WANTED},
    charged AS ({_CHARGE})
    SELECT (SELECT CAST(json_object_agg(key, tat) AS TEXT) FROM charged) AS charged,
           (SELECT CAST(json_object_agg(key, tat) AS TEXT)
            FROM counters WHERE key IN ({{keys}})) AS before
"""  # noqa: S608 - our own words
_tats = json.Decoder(dict[str, int])


async def alone(charges: Sequence[Charge], *, now: int) -> dict[str, int]:
    """Charge them, where none is full. The tats of those that were."""
    sql, values = _table([(charges, now)])
    rows = await database.query(_written(_CHARGE_ALL, sql), *values)
    return {row["key"]: row["tat"] for row in rows}


async def with_others(
    keys: Sequence[str], charges: Sequence[Charge], *, now: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Read these keys' tats, and charge as `alone` does, with whoever comes at the same time.

    For PostgreSQL, and for counters that no transaction holds for longer than a statement: others
    would wait for it. Answers the tats before, and of those that were charged.
    """
    return await _together.join(keys, charges, now)


class _Call(Struct, frozen=True):
    """What somebody wants to read and to charge, and where the answer goes."""

    keys: Sequence[str]
    charges: Sequence[Charge]
    charged: set[str]
    now: int
    answer: asyncio.Future[tuple[dict[str, int], dict[str, int]]]


class _Together:
    """What is read and charged in one statement, for all who came while others were on their way.

    No counter stands in a statement twice: who wants one that another call wants waits for the
    next, and stays first in line.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Call] = deque()
        self._on_their_way = 0

    async def join(
        self, keys: Sequence[str], charges: Sequence[Charge], now: int
    ) -> tuple[dict[str, int], dict[str, int]]:
        answer: asyncio.Future[tuple[dict[str, int], dict[str, int]]]
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(keys, charges, {each.key for each in charges}, now, answer))
        if self._on_their_way < _STATEMENTS:
            # Not in the context of the first, which may have a transaction under way
            database.spawn(self._send(), context=Context())
            self._on_their_way += 1
        return await answer

    async def _send(self) -> None:
        try:
            while calls := self._next():
                error = await _read_and_charge(calls)
                if isinstance(error, database.TimedOut):
                    # Who came meanwhile has waited as long, and waits no second time
                    _refuse(self._waiting, error)
                    self._waiting.clear()
        finally:
            self._on_their_way -= 1

    def _next(self) -> list[_Call]:
        calls: list[_Call] = []
        later: list[_Call] = []
        taken: set[str] = set()
        while self._waiting and len(calls) < _CALLS_AT_ONCE:
            call = self._waiting.popleft()
            if call.answer.done():  # nobody waits for it any more
                continue
            if taken.isdisjoint(call.charged):
                calls.append(call)
                taken |= call.charged
            else:
                later.append(call)
        self._waiting.extendleft(reversed(later))
        return calls


_together = _Together()


async def _read_and_charge(calls: Sequence[_Call]) -> BaseException | None:
    """Never raises: what goes wrong is each call's answer, and this one's."""
    try:
        sql, values = _table([(call.charges, call.now) for call in calls])
        read = [(key,) for call in calls for key in call.keys]
        wanted, more = dialect.table(("TEXT",), read, first=1 + len(values))
        statement = _written(_READ_AND_CHARGE, sql, wanted)
        (row,) = await database.query(statement, *values, *more)
        before, charged = (_tats.decode(row[name] or "{}") for name in ("before", "charged"))
    except BaseException as error:  # noqa: BLE001 - theirs
        _refuse(calls, error)
        return error
    for call in calls:
        if not call.answer.done():
            mine = {each.key: charged[each.key] for each in call.charges if each.key in charged}
            call.answer.set_result((before, mine))
    return None


def _refuse(calls: Iterable[_Call], error: BaseException) -> None:
    for call in calls:
        if not call.answer.done():
            call.answer.set_exception(error)


@lru_cache
def _written(statement: str, rows: str, keys: str = "") -> str:
    """Remembered, since it is as long as it takes to read."""
    return statement.format(rows=rows, keys=keys)


def table(charges: Sequence[Charge], *, first: int) -> tuple[str, list[object]]:
    """SQL for a table of charges: key, increment, tolerance, max_tat.

    first: the number of its first placeholder.
    """
    return dialect.table(
        ("TEXT", "BIGINT", "BIGINT", "BIGINT"), [_row(each) for each in charges], first=first
    )


def _row(charge: Charge) -> tuple[str, int, int, int]:
    tolerance = _ALWAYS if charge.tolerance is None else charge.tolerance
    return charge.key, charge.increment, tolerance, charge.max_tat


def _table(calls: Sequence[tuple[Sequence[Charge], int]]) -> tuple[str, list[object]]:
    """The rows of what some calls charge, each with its tat."""
    wanted = [
        (number, now, *_row(each))
        for number, (charges, now) in enumerate(calls)
        for each in charges
    ]
    return dialect.table(("INT", "BIGINT", "TEXT", "BIGINT", "BIGINT", "BIGINT"), wanted, first=1)
