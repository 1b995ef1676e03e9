"""Bringing the database up to date."""

from __future__ import annotations

import rich_click as click

from referral.cli import common
from referral.settings import Settings
from referral.storage import migrate as migrations


@click.command()
def migrate() -> None:
    """Make the database, or bring it up to date. Safe to run twice, and twice at once."""

    async def work(_: Settings) -> list[str]:
        return await migrations.apply()

    applied = common.with_database(work, migrated=False)
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("the database is up to date")
