"""What the commands share."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

import rich_click as click

from referral.app import assemble, system_clock
from referral.context import Context
from referral.core.errors import Refusal
from referral.settings import Settings, load
from referral.settings.reader import SettingsError
from referral.storage import configuration, database, migrate

T = TypeVar("T")


def settings() -> Settings:
    """The settings, or a line for each thing that is wrong with them, and the end."""
    return read_settings(lambda: load(today=system_clock().date()))


def read_settings(read: Callable[[], T]) -> T:
    """What this reads of them, or as `settings`."""
    try:
        return read()
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
            statement_seconds=configuration.STATEMENT_SECONDS if migrated else None,
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
    except database.Unavailable as error:
        fail(f"the database cannot be used: {str(error) or type(error).__name__}")


def with_context(work: Callable[[Context], Awaitable[T]]) -> T:
    """Do `work` as the service would; where the rules refuse it, say why and end."""

    async def assembled(found: Settings) -> T:
        return await work(await assemble(found))

    try:
        return with_database(assembled)
    except Refusal as refusal:
        wrong = refusal.members.get("errors", [])
        fail(*([f"{error['field']}: {error['message']}" for error in wrong] or [refusal.detail]))


def without_password(url: str) -> str:
    """A database URL as it may be shown. Both places for a password are masked."""
    return re.sub(r"(?i)(://[^:/@]*:)[^@]*(?=@)|(password=)[^&]*", r"\1\2***", url)


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def fail(*problems: str) -> NoReturn:
    """Say what is wrong, a line each, and end with status 1."""
    for problem in problems:
        click.echo(f"referral: {problem}", err=True)
    raise SystemExit(1)
