"""Bytes on disk of a user, a session and a counter."""

from __future__ import annotations

import asyncpg

from clusters import postgres
from scaling import rows, tables
from support import migrated

NUMBER = 1_000_000
_SIZES = """
    SELECT pg_relation_size($1::regclass) AS rows, pg_indexes_size($1::regclass) AS indexes,
           pg_total_relation_size($1::regclass) AS whole
"""
_INDEXES = """
    SELECT indexrelname AS name, pg_relation_size(indexrelid) AS bytes FROM pg_stat_user_indexes
    WHERE relname IN ('users', 'sessions', 'counters') ORDER BY relname, indexrelname
"""
_TABLES = ("users", "sessions", "counters")


async def main() -> None:
    with postgres() as node:
        await migrated(node.url)
        await rows.fill(node.url, NUMBER)
        connection = await asyncpg.connect(node.url)
        try:
            found = {table: await connection.fetchrow(_SIZES, table) for table in _TABLES}
            indexes = await connection.fetch(_INDEXES)
        finally:
            await connection.close()
    tables.show(
        f"Bytes a row, of {NUMBER:,}",
        ["table", "row", "its entries in indexes", "together"],
        ([table, *(round(size / NUMBER) for size in sizes)] for table, sizes in found.items()),
    )
    tables.show(
        "Bytes an entry, by index",
        ["index", "bytes"],
        ([row["name"], round(row["bytes"] / NUMBER)] for row in indexes),
    )
