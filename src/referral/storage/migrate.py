"""Bring the database to the models' shape, by Tortoise's migrations."""

from __future__ import annotations

from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor, SqliteSchemaEditor

from referral.storage import configuration, database

# For `tortoise makemigrations`, which reads the models and touches no database
CONFIG = configuration.of("sqlite://unused.sqlite3")


async def apply() -> list[str]:
    """Apply what is not applied yet; answers the names. Any number of these may run at once."""

    async def work() -> list[str]:
        await database.lock_all(database.Lock.MIGRATIONS)
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
    """The names of the migrations that this database does not have yet."""
    # Tortoise takes a database that does not answer for one without migrations
    await database.query("SELECT 1")
    return [step.migration.name for step in await _executor().plan()]


def _executor() -> MigrationExecutor:
    return MigrationExecutor(database.connection(), database.apps())
