"""Clearing away rows that are over, while others are at work on the same tables."""

from __future__ import annotations

from referral.storage import database

_SOME = """
    DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {over} LIMIT ${most} {free})
    AND ({over})
    RETURNING {key}
"""


async def delete_batch(table: str, key: str, *values: object, over: str, most: int) -> int:
    """Delete rows for which `over` holds, a condition on values $1, $2, ...; answers how many.

    A row that another transaction holds is left: it is about to be renewed, or gone. So this
    waits for nobody, in whatever order others take their locks. On PostgreSQL, whoever waits for a
    row in a DELETE by a subquery would delete it although it was renewed meanwhile.
    """
    free = "FOR UPDATE SKIP LOCKED" if database.is_postgres() else ""
    sql = _SOME.format(table=table, key=key, over=over, most=len(values) + 1, free=free)
    return len(await database.query(sql, *values, most))
