"""Bring the database to the models' shape, by Tortoise's migrations."""

from __future__ import annotations

from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor, SqliteSchemaEditor

from referral.storage import configuration, database
from referral.storage.configuration import APP

# For `tortoise makemigrations`, which reads the models and touches no database
CONFIG = configuration.of("sqlite://unused.sqlite3")


# The first migration of releases whose tables and columns had other names
_OLD_TABLES = "0001_initial"


async def apply() -> list[str]:
    """Apply what is not applied yet; answers the names. Any number of these may run at once.

    Raises Unusable for a database of a release whose tables had other names.
    """
    if await _has_old_tables():
        raise database.Unusable(
            "its tables are of an earlier release; export the users with that release, then "
            "import them into an empty database (CHANGELOG.md says how)"
        )

    async def work() -> list[str]:
        await database.advisory_lock(database.Lock.MIGRATIONS)
        executor = _executor()
        # The executor looks for this table before it makes it; that would break the transaction
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
    """The names of the migrations that this database does not have yet. One short query."""
    names = await _names()
    try:
        rows = await database.query("SELECT name FROM tortoise_migrations WHERE app = $1", APP)
    except database.MissingTable:
        # Nothing was ever applied
        return names
    applied = {row["name"] for row in rows}
    return [name for name in names if name not in applied]


async def _has_old_tables() -> bool:
    sql = "SELECT 1 FROM tortoise_migrations WHERE app = $1 AND name = $2"
    try:
        return bool(await database.query(sql, APP, _OLD_TABLES))
    except database.MissingTable:
        return False


async def _names() -> list[str]:
    """Every migration's, in order: read once, since it takes 4 ms and files do not change."""
    if not _known:
        loader = _executor().loader
        await loader.build_graph()
        (last,) = loader.graph.leaf_nodes(APP)
        _known.extend(key.name for key in loader.graph.forwards_plan(last))
    return list(_known)


_known: list[str] = []


def _executor() -> MigrationExecutor:
    return MigrationExecutor(database.connection(), database.apps())
