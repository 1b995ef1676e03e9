"""API keys."""

from __future__ import annotations

import rich_click as click
from rich.table import Table

from referral.cli import common, tables
from referral.context import Context
from referral.service import api_keys
from referral.storage.models import ApiKey


@click.group()
def key() -> None:
    """Make API keys, which programs administer with."""


@key.command()
@click.argument("name")
def new(name: str) -> None:
    """Make a key called NAME and print it, this once."""
    click.echo(common.with_context(lambda ctx: api_keys.make(ctx, name)))


@key.command(name="list")
def list_keys() -> None:
    """List the names of the keys."""

    async def work(_: Context) -> list[ApiKey]:
        return await api_keys.all_keys()

    table = Table("name", "made")
    for each in common.with_context(work):
        table.add_row(tables.text(each.name), common.moment(each.created_at))
    tables.show(table)


@key.command()
@click.argument("name")
def revoke(name: str) -> None:
    """End the key called NAME, at once."""
    common.with_context(lambda ctx: api_keys.revoke(ctx, name))
    click.echo(f"{name} is no key any more")
