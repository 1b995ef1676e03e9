"""Queries for the opens of invite links, by user and day."""

from __future__ import annotations

from collections.abc import Mapping

from referral.storage import database, dialect, places

# A row has three values, and SQLite takes 32,766 values in a statement
_ROWS_IN_STATEMENT = 1000

# An invite code that cannot be activated has no opens. $1: how many people a code may admit; 0 for
# any number
_CAN_BE_ACTIVATED = f"""
    users.deleted_at IS NULL AND NOT users.is_blocked AND ($1 = 0 OR {places.TAKEN} < $1)
"""
# Rows are locked in the order of codes and days, so two processes cannot wait for each other
_ADD = f"""
    WITH counted (invite_code, day, number) AS ({{rows}})
    INSERT INTO invite_opens (user_id, day, number)
    SELECT users.id, counted.day, counted.number
    FROM counted JOIN users ON users.invite_code = counted.invite_code
    WHERE {_CAN_BE_ACTIVATED}
    ORDER BY counted.invite_code, counted.day
    ON CONFLICT (user_id, day) DO UPDATE SET number = invite_opens.number + excluded.number
"""  # noqa: S608 - only constants
# sum() of PostgreSQL is numeric
OF_USER = """
    COALESCE(
        (SELECT CAST(sum(number) AS BIGINT) FROM invite_opens WHERE user_id = users.id), 0
    ) AS invite_opens
"""
"""SQL for the opens of the user in `users`, on all days."""


async def add(counted: Mapping[tuple[str, str], int], *, invites_per_user: int = 0) -> None:
    """Add numbers of opens, by invite code and day (`2026-01-31`): all of them or none.

    Codes that are unknown, or that cannot be activated, are left out. invites_per_user: how many
    people a code may admit; 0 for any number.
    """
    rows = sorted((code, day, number) for (code, day), number in counted.items())

    async def work() -> None:
        for start in range(0, len(rows), _ROWS_IN_STATEMENT):
            some = rows[start : start + _ROWS_IN_STATEMENT]
            sql, values = dialect.values_table(("TEXT", "TEXT", "BIGINT"), some, first=2)
            await database.query(_ADD.format(rows=sql), invites_per_user, *values)

    await database.transaction(work)
