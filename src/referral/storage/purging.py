"""Deletion of expired rows and values in batches, while other transactions use the same tables."""

from __future__ import annotations

from referral.storage import database

_BATCH = """
    {action}
    WHERE {key} IN (SELECT {key} FROM {table} WHERE {where} LIMIT ${limit} {locking})
    AND ({where})
    RETURNING {key}
"""


async def delete_batch(table: str, key: str, *values: object, where: str, batch_size: int) -> int:
    """Delete at most `batch_size` rows and return how many were deleted.

    where: a condition on `values`, which are $1, $2, ...

    Rows that another transaction has locked are skipped, because it is about to renew or delete
    them. So this waits for no lock and cannot deadlock. The condition is repeated outside the
    subquery, so that a row that was renewed meanwhile is not deleted.
    """
    action = f"DELETE FROM {table}"  # noqa: S608 - our own names
    return await _run(action, table, key, values, where, batch_size)


async def clear_batch(
    table: str, key: str, *values: object, column: str, where: str, batch_size: int
) -> int:
    """Clear a column of at most `batch_size` rows, as `delete_batch` deletes them."""
    action = f"UPDATE {table} SET {column} = NULL"  # noqa: S608 - our own names
    return await _run(action, table, key, values, where, batch_size)


async def _run(
    action: str, table: str, key: str, values: tuple[object, ...], where: str, batch_size: int
) -> int:
    locking = "FOR UPDATE SKIP LOCKED" if database.is_postgres() else ""
    sql = _BATCH.format(
        action=action, table=table, key=key, where=where, limit=len(values) + 1, locking=locking
    )
    return len(await database.query(sql, *values, batch_size))
