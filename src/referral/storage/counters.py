"""Counters: atomic, of any number of processes, and cleared away once they say nothing.

A counter is one number, see core/buckets.py. To charge several is one statement: where none is
full, all are charged, else none. Two calls that both see the last token meet at the row itself,
where one of them gets it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from contextvars import Context
from functools import lru_cache

from msgspec import Struct, json

from referral.core.buckets import Charge
from referral.storage import clearing, database

# Both databases take 32,767 values in a statement
_AT_ONCE = 1000
# Of those that read and charge for several calls, so many are on their way at a time
_STATEMENTS, _CALLS_AT_ONCE = 2, 100
# Larger than any moment that is compared with it
_ALWAYS = 1 << 62

# What is looked up stands in subqueries of one value each, never in joins: for those PostgreSQL
# would keep a plan that reads the whole table where it was small when first asked.
# call: which rows are charged together or not at all. now: the call's. No key stands in it twice
_WANTED = """
    WITH wanted (call, now, key, token, room, cap) AS ({rows}),
    full_calls (call) AS (
        SELECT call FROM wanted
        WHERE (SELECT moment FROM counters WHERE counters.key = wanted.key) + token - now > room
    )
"""
_CHARGE = """
    INSERT INTO counters (key, moment)
    SELECT key, now + token FROM wanted WHERE call NOT IN (SELECT call FROM full_calls)
    ORDER BY key
    ON CONFLICT (key) DO UPDATE SET moment = (
        SELECT CASE WHEN ahead > cap THEN cap ELSE ahead END + now
        FROM (
            SELECT CASE WHEN counters.moment > now THEN counters.moment - now ELSE 0 END + token
                   AS ahead, cap, now
            FROM wanted WHERE wanted.key = counters.key
        ) AS charged
    )
    WHERE counters.moment <= (
        SELECT room + now - token FROM wanted WHERE wanted.key = counters.key
    )
    RETURNING key, moment
"""
_CHARGE_ALL = _WANTED + _CHARGE
# One row, whose texts are read in a fifth of the time of so many rows
_READ_AND_CHARGE = f"""
    {_WANTED},
    charged AS ({_CHARGE})
    SELECT (SELECT CAST(json_object_agg(key, moment) AS TEXT) FROM charged) AS charged,
           (SELECT CAST(json_object_agg(key, moment) AS TEXT)
            FROM counters WHERE key IN ({{keys}})) AS before
"""  # noqa: S608 - our own words
_GIVE_BACK = """
    WITH wanted (key, taken, most) AS ({rows}),
    found AS (
        SELECT counters.key, wanted.taken FROM counters JOIN wanted ON counters.key = wanted.key
        WHERE counters.moment > CAST($1 AS BIGINT)
        AND counters.moment - CAST($1 AS BIGINT) <= wanted.most
        ORDER BY counters.key {lock}
    ){unwaited}
    UPDATE counters SET moment = counters.moment - found.taken FROM found{also}
    WHERE counters.key = found.key
"""
# A give-back that a crash of PostgreSQL loses leaves a charge too many, so nobody waits until it is
# on disk. For its own transaction alone, which is this one statement
_UNWAITED = ", unwaited AS (SELECT set_config('synchronous_commit', 'off', true))"
_READ = "SELECT key, moment FROM counters WHERE key IN ({keys})"
_RAISE = """
    INSERT INTO counters (key, moment) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET moment = excluded.moment
    WHERE counters.moment < $3
    RETURNING key
"""
_CLEAR = "DELETE FROM counters WHERE key = $1"
_moments = json.Decoder(dict[str, int])


async def charge(charges: Sequence[Charge], *, now: int) -> dict[str, int] | None:
    """Charge all of them, or none where one is full; answers their moments, or None."""
    sql, values = _table([(charges, now)])
    rows = await database.query(_written(_CHARGE_ALL, sql), *values)
    return await _all_or_none({row["key"]: row["moment"] for row in rows}, charges, now)


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
    before, charged = await _together.join(keys, charges, now)
    return before, await _all_or_none(charged, charges, now)


class Raise(Struct, frozen=True):
    """Put a counter at a moment, unless it stands at `below` or later."""

    key: str
    moment: int
    below: int


async def give_back(charges: Sequence[Charge], *, now: int) -> None:
    """Take charges back, as far as their buckets have not refilled since.

    A counter that `raise_to` put beyond its cap stays: what is spent is spent. What this process
    gives back while an earlier statement is on its way goes together in the next one: each sign-in
    gives back, and those behind one address would wait for each other at its one row.
    """
    if charges:
        await _next.join(charges, now)


async def read(keys: Iterable[str]) -> dict[str, int]:
    """The moments of counters; those that nobody charged are missing."""
    sql, values = database.table(("TEXT",), [(key,) for key in keys], first=1)
    rows = await database.query(_READ.format(keys=sql), *values)
    return {row["key"]: row["moment"] for row in rows}


async def raise_to(wanted: Raise) -> bool:
    """False, and nothing done, where the counter stands at `below` or later."""
    return bool(await database.query(_RAISE, wanted.key, wanted.moment, wanted.below))


async def clear(key: str) -> None:
    await database.query(_CLEAR, key)


async def forget(*, before: int, most: int) -> int:
    """Delete counters that are full again; answers how many, `most` at a time."""
    return await clearing.some("counters", "key", before, over="moment < $1", most=most)


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
            self._taken[each.key] = self._taken.get(each.key, 0) + each.token
            self._most[each.key] = each.cap + each.token // 2
        if self._done is None:
            # Not in the context of the first, which may have a transaction under way
            self._done = database.begin(self._send(), context=Context())
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
                sql, values = database.table(("TEXT", "BIGINT", "BIGINT"), some, first=2)
                await database.query(_GIVE_BACK.format(rows=sql, **parts), self._now, *values)


_next = _GivingBack()
_one_at_a_time = asyncio.Lock()


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
            database.begin(self._send(), context=Context())
            self._on_their_way += 1
        return await answer

    async def _send(self) -> None:
        try:
            while calls := self._next():
                error = await _read_and_charge(calls)
                if isinstance(error, TimeoutError):
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
        wanted, more = database.table(("TEXT",), read, first=1 + len(values))
        statement = _written(_READ_AND_CHARGE, sql, wanted)
        (row,) = await database.query(statement, *values, *more)
        before, charged = (_moments.decode(row[name] or "{}") for name in ("before", "charged"))
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


def _table(calls: Sequence[tuple[Sequence[Charge], int]]) -> tuple[str, list[object]]:
    """The rows of what some calls charge, each with its moment."""
    wanted = [
        (number, now, each.key, each.token, _ALWAYS if each.room is None else each.room, each.cap)
        for number, (charges, now) in enumerate(calls)
        for each in charges
    ]
    return database.table(("INT", "BIGINT", "TEXT", "BIGINT", "BIGINT", "BIGINT"), wanted, first=1)


async def _all_or_none(
    charged: dict[str, int], charges: Sequence[Charge], now: int
) -> dict[str, int] | None:
    if len(charged) == len(charges):
        return charged
    # Another call took the last token of one between the look and the charge
    await give_back([each for each in charges if each.key in charged], now=now)
    return None
