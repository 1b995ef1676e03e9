"""What the commands share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import rich_click as click

from referral.app import system_clock
from referral.settings import Settings, SettingsError, load
from referral.storage import database, migrate

T = TypeVar("T")


def settings() -> Settings:
    """The settings, or a line for each thing that is wrong with them, and the end."""
    try:
        return load(today=system_clock().date())
    except SettingsError as error:
        fail(*error.problems)


def with_database(work: Callable[[Settings], Awaitable[T]], *, migrated: bool = True) -> T:
    """Do `work` while connected to the database that the settings name.

    migrated: whether it needs every migration.
    """
    found = settings()

    async def connected() -> T:
        await database.connect(
            found.database_url,
            # A migration, or the wait for somebody else's, takes its time
            statement_seconds=database.STATEMENT_SECONDS if migrated else None,
        )
        try:
            if migrated and (missing := await migrate.pending()):
                fail(f"the database lacks {', '.join(missing)}: run `referral migrate` first")
            return await work(found)
        finally:
            await database.disconnect()

    try:
        return asyncio.run(connected())
    except database.Unusable as error:
        fail(f"the database cannot be used: {error}")
    except database.UNAVAILABLE as error:
        fail(f"the database cannot be used: {str(error) or type(error).__name__}")


def fail(*problems: str) -> NoReturn:
    """Say what is wrong, a line each, and end with status 1."""
    for problem in problems:
        click.echo(f"referral: {problem}", err=True)
    raise SystemExit(1)
