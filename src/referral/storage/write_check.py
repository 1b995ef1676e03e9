"""A check that the database accepts writes."""

from __future__ import annotations

from referral.storage import database
from referral.storage.columns import MODELS


async def find_failure() -> str | None:
    """Return why a table refuses inserts, updates or deletions; None if every table accepts them.

    The statements affect no row. A database that refuses writes refuses these too.
    """
    for model in MODELS:
        described = model.describe()
        table, key = described["table"], described["pk_field"]["db_column"]
        for statement in (
            f"INSERT INTO {table} SELECT * FROM {table} WHERE 1 = 0",  # noqa: S608 - our own names
            f"UPDATE {table} SET {key} = {key} WHERE 1 = 0",  # noqa: S608 - our own names
            f"DELETE FROM {table} WHERE 1 = 0",  # noqa: S608 - our own names
        ):
            try:
                await database.query(statement)
            except database.Unavailable as error:
                return str(error) or type(error).__name__
    return None
