"""Migrations from an empty or half-migrated database to the tables of the models.

Migrations only add to 0001_tables: tests/storage/test_upgrade.py checks that.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.autodetector import MigrationAutodetector

from processes import environment, new_postgres_database, referral
from referral.storage import configuration, database, migrate
from support import migrated

# Queries for the columns, indexes and constraints of a database. The names of constraints and
# indexes are left out, because no code uses them.
_CATALOGUE = {
    "sqlite": (
        """
        SELECT m.name AS t, c.name, c.type, c."notnull", c.dflt_value, c.pk
        FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'
        """,
        """
        SELECT m.name AS t, i."unique", i.origin, i.partial, group_concat(c.name) AS columns
        FROM sqlite_master m, pragma_index_list(m.name) i, pragma_index_info(i.name) c
        WHERE m.type = 'table' GROUP BY m.name, i.name, i."unique", i.origin, i.partial
        """,
        """
        SELECT m.name AS t, f."table", f."from", f."to", f.on_update, f.on_delete
        FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'
        """,
    ),
    "postgres": (
        """
        SELECT table_name AS t, column_name, data_type, character_maximum_length, is_nullable,
            column_default
        FROM information_schema.columns WHERE table_schema = 'public'
        """,
        """
        SELECT tablename AS t, replace(indexdef, indexname, '') AS definition
        FROM pg_indexes WHERE schemaname = 'public'
        """,
        """
        SELECT conrelid::regclass::text AS t, contype::text, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        """,
    ),
}


class Databases:
    """Creates empty databases of one kind."""

    def __init__(self, kind: str, folder: Path, server_url: str) -> None:
        self.kind = kind
        self._folder = folder
        self._server_url = server_url
        self._created = 0

    async def new(self) -> str:
        self._created += 1
        if self.kind == "sqlite":
            return f"sqlite://{self._folder}/fresh-{self._created}.sqlite3"
        return await new_postgres_database(self._server_url)

    async def is_opened(self, url: str) -> bool:
        """Return whether a process has opened the database."""
        if self.kind == "sqlite":
            return (self._folder / Path(url).name).exists()
        connection = await asyncpg.connect(self._server_url)
        try:
            name = url.partition("@/")[2].partition("?")[0]
            rows = await connection.fetch("SELECT 1 FROM pg_stat_activity WHERE datname = $1", name)
        finally:
            await connection.close()
        return bool(rows)


@pytest.fixture
def databases(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Databases:
    server = request.getfixturevalue("postgres_url") if database_kind == "postgres" else ""
    return Databases(database_kind, tmp_path, server)


async def test_no_migration_is_missing_for_the_models(migrated_url: str) -> None:
    async with connected(migrated_url):
        assert Tortoise.apps is not None
        writers = await MigrationAutodetector(Tortoise.apps, database.apps()).changes()
    missing = [
        f"{type(operation).__name__} {getattr(operation, 'name', '')}"
        for writer in writers
        for operation in writer.operations
    ]
    assert not missing, f"run make migration NAME=what_changed for {missing}"


async def test_migrations_create_the_tables_of_the_models(databases: Databases) -> None:
    """Columns, indexes and constraints are compared as the database reports them."""
    by_migrations, by_models = await databases.new(), await databases.new()
    await migrated(by_migrations)
    async with connected(by_models):
        await Tortoise.generate_schemas(safe=False)
    tables = await catalogue(by_migrations, databases.kind)
    assert tables == await catalogue(by_models, databases.kind)
    assert {"users", "sessions", "counters", "data_keys"} <= {
        row["t"] for rows in tables for row in rows
    }


async def test_concurrent_migrate_applies_each_migration_once(
    databases: Databases, tmp_path: Path
) -> None:
    for _ in range(3):
        url = await databases.new()
        outputs = [finish(each) for each in [start(tmp_path, url), start(tmp_path, url)]]
        applied = [
            line for output in outputs for line in output.splitlines() if line.startswith("applied")
        ]
        assert applied
        assert len(applied) == len(set(applied))
        await assert_complete(url)


async def test_migrate_completes_a_killed_migrate(databases: Databases, tmp_path: Path) -> None:
    """The first is killed at random times after it has opened the database."""
    random = Random(7)  # noqa: S311 - the same times in each run
    for _ in range(3):
        url = await databases.new()
        killed = start(tmp_path, url)
        deadline = time.monotonic() + 30
        while killed.poll() is None and not await databases.is_opened(url):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.002)
        await asyncio.sleep(random.uniform(0, 0.08))
        killed.kill()
        killed.communicate()
        finished = referral(tmp_path, "migrate", DATABASE_URL=url)
        assert finished.returncode == 0, finished.stderr
        await assert_complete(url)


async def test_migrate_refuses_tables_with_former_names(
    databases: Databases, tmp_path: Path
) -> None:
    """Tables and columns had other names before 0001_tables. The error says what to do, and nothing
    is changed.
    """
    url = await databases.new()
    await migrated(url)
    async with connected(url):
        await database.query(
            "UPDATE tortoise_migrations SET name = '0001_initial' WHERE name = '0001_tables'"
        )
    before = await catalogue(url, databases.kind)
    refused = referral(tmp_path, "migrate", DATABASE_URL=url)
    assert refused.returncode == 1
    assert "export the users with that release" in refused.stderr
    assert await catalogue(url, databases.kind) == before


def start(folder: Path, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "referral", "migrate"],
        cwd=folder,
        env=environment(folder, DATABASE_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output


async def assert_complete(url: str) -> None:
    """Assert that no migration is pending and that every table can be read."""
    async with connected(url):
        assert await migrate.pending() == []
        assert Tortoise.apps is not None
        for model in Tortoise.apps[configuration.APP].values():
            assert await model.all().count() == 0


async def catalogue(url: str, kind: str) -> list[list[dict[str, Any]]]:
    """Return the columns, indexes and constraints, without the tables of the migrations."""
    async with connected(url):
        found = [await database.query(statement) for statement in _CATALOGUE[kind]]
    return [sorted((row for row in rows if not _is_internal(row["t"])), key=str) for rows in found]


def _is_internal(table: str) -> bool:
    return "migrations" in table or table.startswith("sqlite_")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[None]:
    await database.connect(url)
    try:
        yield
    finally:
        await database.disconnect()
