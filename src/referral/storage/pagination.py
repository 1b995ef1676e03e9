"""Pages of lists, newest first unless asked otherwise, by keyset pagination.

A page begins after a cursor: the time and the id of the last row of the page before it. The two
are compared as a pair, `(created_at, id) < ($1, $2)`, for which an index on both columns takes the
same time at any depth. With OFFSET the database would read all rows of the earlier pages again, and
rows added meanwhile would shift the pages, so that clients would see some rows twice.

The id orders rows of the same time. Ids are random, which is enough: the order only has to be total
and stable.

The rows are the driver's own, read by plain SQL: each takes 1 to 2 microseconds, a Tortoise object
takes 17.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias
from uuid import UUID

from msgspec import structs

from referral.core import cursor as cursors
from referral.core.cursor import AnyCursor, CountCursor, Cursor
from referral.storage import database, dialect
from referral.storage.database import Row

Page: TypeAlias = tuple[Sequence[Row], str | None]
"""Rows, and the cursor of the next page; None on the last page."""


async def paginate(
    sql: str,
    *values: object,
    by: str,
    after: AnyCursor | None,
    limit: int,
    oldest_first: bool = False,
    query: Callable[..., Awaitable[Sequence[Row]]] = database.query,
) -> Page:
    """Read the page after a cursor, ordered by a time or number and then by id, largest first.

    sql: a SELECT that ends with a condition and has the id as text. by: the column of the time or
    number, as `table.column`.
    """
    table, _, column = by.partition(".")
    key = f"{table}.id"
    sign, direction = (">", "ASC") if oldest_first else ("<", "DESC")
    if after is not None:
        sql += f" AND ({by}, {key}) {sign} (${len(values) + 1}, ${len(values) + 2})"
        values += structs.astuple(after)
    # One row more tells whether there is another page. The limit is part of the text: as a
    # parameter it would make PostgreSQL plan the statement again at each call
    order = f"ORDER BY {by} {direction}, {key} {direction}"
    found = await query(f"{sql} {order} LIMIT {limit + 1:d}", *values)
    rows = dialect.decode_rows(found)
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    place, row_id = last[column], UUID(last["id"])
    cursor = CountCursor(place, row_id) if isinstance(place, int) else Cursor(place, row_id)
    return rows[:limit], cursors.encode(cursor)
