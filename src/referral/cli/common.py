"""Helpers of all commands: settings, a connected database, errors in one line."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

import rich_click as click

from referral.assembly import assemble, system_clock
from referral.context import Context
from referral.core.errors import Refusal
from referral.settings import Settings, load
from referral.settings.reader import or_exit
from referral.storage import configuration, database, migrate

T = TypeVar("T")


def load_settings() -> Settings:
    """Load the settings. If they are wrong, print a line for each problem and exit."""
    return or_exit(lambda: load(today=system_clock().date()))


def run_with_database(work: Callable[[Settings], Awaitable[T]], *, migrated: bool = True) -> T:
    """Run `work` while connected to the database of the settings.

    migrated: require that every migration is applied. If one is missing, or the database cannot be
    used, print why and exit.
    """
    settings = load_settings()
    if migrated and settings.sqlite_path is not None and not settings.sqlite_path.exists():
        fail(
            f"there is no database {settings.sqlite_path}: check DATABASE_URL, or create it with "
            "`referral migrate`"
        )

    async def connected() -> T:
        await database.connect(
            settings.database_url,
            # A migration, or the wait for another process that migrates, may take long
            statement_seconds=configuration.STATEMENT_SECONDS if migrated else None,
        )
        try:
            if migrated and (missing := await migrate.pending()):
                fail(f"the database lacks {', '.join(missing)}: run `referral migrate` first")
            return await work(settings)
        finally:
            await database.disconnect()

    try:
        return asyncio.run(connected())
    except database.SetupError as error:
        fail(f"the database cannot be used: {error}")
    except database.Unavailable as error:
        fail(f"the database cannot be used: {str(error) or type(error).__name__}")


def run_with_context(work: Callable[[Context], Awaitable[T]]) -> T:
    """Run `work` with the context of the use cases. If the rules refuse it, print why and exit."""

    async def assembled(settings: Settings) -> T:
        return await work(await assemble(settings))

    try:
        return run_with_database(assembled)
    except Refusal as refusal:
        errors = refusal.members.get("errors", [])
        fail(*([f"{error['field']}: {error['message']}" for error in errors] or [refusal.detail]))


def echo_database() -> None:
    """Print which database a command has changed, since without DATABASE_URL it is a local file."""
    click.echo(f"database={mask_password(load_settings().database_url)}", err=True)


def mask_password(url: str) -> str:
    """Mask the password in a database URL, both before the host and in the query."""
    return re.sub(r"(?i)(://[^:/@]*:)[^@]*(?=@)|(password=)[^&]*", r"\1\2***", url)


def format_time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def fail(*problems: str) -> NoReturn:
    """Print a line for each problem and exit with status 1."""
    for problem in problems:
        click.echo(f"referral: {problem}", err=True)
    raise SystemExit(1)
