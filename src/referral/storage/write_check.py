"""Whether the database lets us write."""

from __future__ import annotations

from tortoise import Tortoise

from referral.storage import configuration, database


async def failure() -> str | None:
    """Why one of the tables takes no row, no change or no deletion, where that is so.

    The statements touch no row: a database refuses them all the same where it would refuse others.
    """
    for model in (Tortoise.apps or {})[configuration.APP].values():
        table = model._meta.db_table  # noqa: SLF001 - nothing public has it
        column = model._meta.db_pk_column  # noqa: SLF001
        for statement in (
            f"INSERT INTO {table} SELECT * FROM {table} WHERE 1 = 0",  # noqa: S608 - our own names
            f"UPDATE {table} SET {column} = {column} WHERE 1 = 0",  # noqa: S608
            f"DELETE FROM {table} WHERE 1 = 0",  # noqa: S608
        ):
            try:
                await database.query(statement)
            except database.Unavailable as error:
                return str(error) or type(error).__name__
    return None
