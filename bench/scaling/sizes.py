"""The size of a row on disk, and the rows that a sign-in adds."""

from __future__ import annotations

import asyncpg

from clusters import postgres
from scaling import rows, tables
from support import Inbox, migrated, running

NUMBER = 1_000_000
_SIZES = """
    SELECT pg_relation_size($1::regclass) AS rows, pg_indexes_size($1::regclass) AS indexes,
           pg_total_relation_size($1::regclass) AS whole
"""
_INDEXES = """
    SELECT indexrelname AS name, pg_relation_size(indexrelid) AS bytes FROM pg_stat_user_indexes
    WHERE relname IN ('users', 'sessions', 'counters', 'audit_entries')
    ORDER BY relname, indexrelname
"""
_TABLES = ("users", "sessions", "counters", "audit_entries")
_WRITTEN = ("counters", "audit_entries", "outbox", "traffic_counts")


async def main() -> None:
    with postgres() as node:
        await migrated(node.url)
        await _show_rows_added(node.url)
        await rows.fill(node.url, NUMBER)
        connection = await asyncpg.connect(node.url)
        try:
            found = {table: await connection.fetchrow(_SIZES, table) for table in _TABLES}
            indexes = await connection.fetch(_INDEXES)
        finally:
            await connection.close()
    tables.show(
        f"Bytes a row, of {NUMBER:,}",
        ["table", "row", "its index entries", "together"],
        ([table, *(round(size / NUMBER) for size in sizes)] for table, sizes in found.items()),
    )
    tables.show(
        "Bytes an entry, by index",
        ["index", "bytes"],
        ([row["name"], round(row["bytes"] / NUMBER)] for row in indexes),
    )


async def _show_rows_added(url: str) -> None:
    """Show the rows that the first sign-in of a phone adds, and the second."""
    connection = await asyncpg.connect(url)

    async def count() -> list[int]:
        return [
            await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
            for table in _WRITTEN
        ]

    async with running(url, inbox=Inbox()) as service:
        found = [await count()]
        person = await service.sign_in()
        found.append(await count())
        await service.sign_in_again(person)
        found.append(await count())
    await connection.execute("TRUNCATE users, sessions, counters, audit_entries, outbox CASCADE")
    await connection.close()
    tables.show(
        "Rows that sign-ins of one phone add",
        ["sign-in", *_WRITTEN],
        (
            [name, *(b - a for a, b in zip(found[index], found[index + 1], strict=True))]
            for index, name in enumerate(("the first", "the second"))
        ),
    )
