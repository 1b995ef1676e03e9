"""Applying migrations."""

from __future__ import annotations

import rich_click as click

from referral.cli import common
from referral.settings import Settings
from referral.storage import migrate as migrations


@click.command()
def migrate() -> None:
    """Create the tables or bring them up to date.

    Safe to run twice, even at the same time.
    """

    async def work(_: Settings) -> list[str]:
        return await migrations.apply()

    applied = common.run_with_database(work, migrated=False)
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("the database is up to date")
