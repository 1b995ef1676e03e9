"""Users."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
import rich_click as click
from rich.table import Table

from referral.cli import common, tables
from referral.cli.import_export import export, import_
from referral.context import COMMAND, Context
from referral.core.cursor import MAX_PAGE_SIZE
from referral.service import users as service
from referral.service.users import UserPage, UserView


@click.group()
def users() -> None:
    """Look after users."""


for command in (import_, export):
    users.add_command(command)


@users.command(name="list")
@click.option("--search", help="A phone, parts of a name or email, an invite code or link, an id.")
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, MAX_PAGE_SIZE),
    help="How many at most.",
)
def list_users(search: str | None, limit: int) -> None:
    """List users, newest first."""

    async def work(ctx: Context) -> UserPage:
        return await service.page(ctx, search=search, cursor=None, limit=limit)

    page = common.run_with_context(work)
    table = Table("id", "phone", "name", "code", "invitees", "signed up", "")
    for each in page.items:
        table.add_row(
            each.id,
            each.phone,
            tables.text(each.name or ""),
            each.invite_code,
            str(each.invitee_count),
            common.format_time(each.created_at),
            _marks(each),
        )
    tables.show(table)
    if page.next_cursor:
        click.echo("There are more: --search narrows, --limit widens.")


@users.command()
@click.argument("user")
def show(user: str) -> None:
    """Show one USER, by id or phone."""
    table = Table(show_header=False)
    found = common.run_with_context(lambda ctx: service.find(ctx, user))
    for field in msgspec.structs.fields(found):
        table.add_row(field.name, tables.text(_told(getattr(found, field.name))))
    tables.show(table)


@users.command()
@click.argument("user")
def block(user: str) -> None:
    """Keep a USER, by id or phone, out. Ends all their sessions at once."""
    click.echo(f"{_set_blocked(user, is_blocked=True)} is blocked")


@users.command()
@click.argument("user")
def unblock(user: str) -> None:
    """Let a USER, by id or phone, in again."""
    click.echo(f"{_set_blocked(user, is_blocked=False)} is not blocked")


@users.command()
@click.argument("user")
@click.argument("new_phone")
def phone(user: str, new_phone: str) -> None:
    """Move a USER, by id or phone, to NEW_PHONE. Ends all their sessions; sends no message."""

    async def work(ctx: Context) -> UserView:
        found = await service.find(ctx, user)
        return await service.change_phone(ctx, UUID(found.id), new_phone, by=COMMAND)

    moved = common.run_with_context(work)
    click.echo(f"{moved.id} has the phone {moved.phone}")


@users.command()
def check() -> None:
    """List users whose phone is read as another one, so that they cannot sign in."""

    async def work(ctx: Context) -> int:
        number = 0
        async for each in service.misread(ctx):
            number += 1
            read_as = f"is read as {each.read_as}" if each.read_as else "is never sent a code"
            owner = f", the phone of {each.other}" if each.other else ""
            click.echo(f"{each.user_id} {each.phone} {read_as}{owner}")
        return number

    if number := common.run_with_context(work):
        common.fail(
            f"{number} cannot sign in: give each the right phone with `referral users phone ID "
            "PHONE`, or delete it with `referral users delete ID`"
        )
    click.echo("Every phone is read as it is kept")


@users.command()
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(user: str, *, yes: bool) -> None:
    """Delete a USER, by id or phone, as they could themselves. Nothing brings it back."""
    found = common.run_with_context(lambda ctx: service.find(ctx, user))
    if not yes:
        name = f" ({found.name})" if found.name else ""
        click.confirm(f"Delete {found.phone}{name} for ever?", abort=True)

    async def work(ctx: Context) -> None:
        await service.delete(ctx, UUID(found.id), by=COMMAND)

    common.run_with_context(work)
    click.echo(f"{found.phone} is deleted")


def _set_blocked(user: str, *, is_blocked: bool) -> str:
    """The user's phone."""

    async def work(ctx: Context) -> UserView:
        found = await service.find(ctx, user)
        return await service.change(ctx, UUID(found.id), is_blocked=is_blocked, by=COMMAND)

    return common.run_with_context(work).phone


def _marks(user: UserView) -> str:
    marks = {"admin": user.is_admin, "blocked": user.is_blocked}
    return ", ".join(mark for mark, is_so in marks.items() if is_so)


def _told(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return common.format_time(value)
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
