"""Managing API keys."""

from __future__ import annotations

import rich_click as click
from rich.table import Table

from referral.cli import common, tables
from referral.context import Context
from referral.service import api_keys
from referral.storage.models import ApiKey


@click.group()
def key() -> None:
    """Manage API keys, with which programs call the API."""


@key.command()
@click.argument("name")
@click.option(
    "--events",
    is_flag=True,
    help="For a shop's backend: it opens only events, redemptions and their reversals.",
)
def new(name: str, *, events: bool) -> None:
    """Create a key called NAME and print it. It is shown only once."""
    click.echo(common.run_with_context(lambda ctx: api_keys.create(ctx, name, events_only=events)))
    common.echo_database()


@key.command(name="list")
def list_keys() -> None:
    """List the names of the keys, what they open, and when they were created."""

    async def work(_: Context) -> list[ApiKey]:
        return await api_keys.list_all()

    table = Table("name", "opens", "created")
    for each in common.run_with_context(work):
        opens = "events" if each.events_only else "administration"
        table.add_row(tables.text(each.name), opens, common.format_time(each.created_at))
    tables.show(table)


@key.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke the key called NAME immediately."""
    common.run_with_context(lambda ctx: api_keys.revoke(ctx, name))
    click.echo(f"{name} is revoked")
    common.echo_database()
