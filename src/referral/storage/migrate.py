"""Migrate the database to the tables that the models describe, with Tortoise's migrations."""

from __future__ import annotations

from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor, SqliteSchemaEditor

from referral.storage import configuration, database
from referral.storage.configuration import APP

# For `tortoise makemigrations`, which reads the models and touches no database
CONFIG = configuration.tortoise_config("sqlite://unused.sqlite3")

# The first migration of the releases whose tables and columns had other names
_FORMER_FIRST = "0001_initial"

_names: list[str] = []


async def apply() -> list[str]:
    """Apply the pending migrations and return their names. Several processes may do so together.

    Raises SetupError if the tables are those of a release in which they had other names.
    """
    if await _has_former_tables():
        raise database.SetupError(
            "its tables are of an earlier release; export the users with that release, then "
            "import them into an empty database (CHANGELOG.md says how)"
        )

    async def work() -> list[str]:
        await database.advisory_lock(database.Lock.MIGRATIONS)
        executor = _executor()
        # The executor creates this table only after a query of it has failed, and on PostgreSQL a
        # failed query ends the transaction
        editor = AsyncpgSchemaEditor if database.is_postgres() else SqliteSchemaEditor
        await executor.recorder.ensure_schema(editor(executor.connection, atomic=False))
        names: list[str] = []
        await executor.migrate(
            direction="forward",
            progress=lambda event, _app, name: (
                names.append(name) if event == "apply_done" else None
            ),
        )
        return names

    return await database.transaction(work)


async def pending() -> list[str]:
    """Return the names of the migrations that are not applied to this database. One short query."""
    names = await _all_names()
    try:
        rows = await database.query("SELECT name FROM tortoise_migrations WHERE app = $1", APP)
    except database.MissingTable:
        # No migration was ever applied
        return names
    applied = {row["name"] for row in rows}
    return [name for name in names if name not in applied]


async def _has_former_tables() -> bool:
    sql = "SELECT 1 FROM tortoise_migrations WHERE app = $1 AND name = $2"
    try:
        return bool(await database.query(sql, APP, _FORMER_FIRST))
    except database.MissingTable:
        return False


async def _all_names() -> list[str]:
    """Return the names of all migrations, in their order. Read once, since that takes 4 ms."""
    if not _names:
        loader = _executor().loader
        await loader.build_graph()
        (last,) = loader.graph.leaf_nodes(APP)
        _names.extend(key.name for key in loader.graph.forwards_plan(last))
    return list(_names)


def _executor() -> MigrationExecutor:
    return MigrationExecutor(database.connection(), database.apps())
