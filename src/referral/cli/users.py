"""Managing users."""

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
from referral.service import deletion, phone_moves, sign_ups, user_lists
from referral.service import users as service
from referral.service.user_lists import UserFilters, UserPage
from referral.service.users import UserView


@click.group()
def users() -> None:
    """Manage users."""


for command in (import_, export):
    users.add_command(command)


@users.command(name="list")
@click.option(
    "--search", help="A phone, part of a name or email, an invite code or link, or an id."
)
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, MAX_PAGE_SIZE),
    help="List at most this many.",
)
def list_users(search: str | None, limit: int) -> None:
    """List users, newest first."""

    async def work(ctx: Context) -> UserPage:
        selection = await user_lists.select(ctx, UserFilters(search=search))
        return await user_lists.page(ctx, selection, cursor=None, limit=limit)

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
            _labels(each),
        )
    tables.show(table)
    if page.next_cursor:
        click.echo("There are more users: use --search, or a higher --limit.")


@users.command()
@click.argument("phone")
def add(phone: str) -> None:
    """Let PHONE sign up without an invitation, also while sign-up is closed."""
    number, has_account = common.run_with_context(lambda ctx: sign_ups.grant(ctx, phone))
    state = "has an account already" if has_account else "can sign up without an invitation"
    click.echo(f"{number} {state}")
    common.echo_database()


@users.command()
@click.argument("user")
def show(user: str) -> None:
    """Show USER, an id or a phone."""
    table = Table(show_header=False)
    found = common.run_with_context(lambda ctx: service.find(ctx, user))
    for field in msgspec.structs.fields(found):
        table.add_row(field.name, tables.text(_format(getattr(found, field.name))))
    tables.show(table)


@users.command()
@click.argument("user")
def block(user: str) -> None:
    """Block USER, an id or a phone, and end all their sessions."""
    click.echo(f"{_set_blocked(user, is_blocked=True)} is blocked")


@users.command()
@click.argument("user")
def unblock(user: str) -> None:
    """Unblock USER, an id or a phone."""
    click.echo(f"{_set_blocked(user, is_blocked=False)} is not blocked")


@users.command()
@click.argument("user")
@click.argument("new_phone")
def phone(user: str, new_phone: str) -> None:
    """Move USER, an id or a phone, to NEW_PHONE. Ends all their sessions and sends no message."""

    async def work(ctx: Context) -> UserView:
        found = await service.find(ctx, user)
        return await phone_moves.move(ctx, UUID(found.id), new_phone, by=COMMAND)

    moved = common.run_with_context(work)
    click.echo(f"{moved.id} now has the phone {moved.phone}")


@users.command()
def check() -> None:
    """List users who cannot sign in.

    Typed as it is stored, their phone is read as another number, or is one that gets no codes.
    """

    async def work(ctx: Context) -> int:
        number = 0
        async for each in service.misread_phones(ctx):
            number += 1
            read_as = f"is read as {each.read_as}" if each.read_as else "receives no codes"
            owner = f", the phone of {each.other}" if each.other else ""
            click.echo(f"{each.user_id} {each.phone} {read_as}{owner}")
        return number

    if number := common.run_with_context(work):
        common.fail(
            f"{number} cannot sign in: correct each phone with `referral users phone ID PHONE`, "
            "or delete the user with `referral users delete ID`"
        )
    click.echo("every phone is read as it is stored")


@users.command()
@click.argument("user")
@click.option("--yes", is_flag=True, help="Delete without asking.")
def delete(user: str, *, yes: bool) -> None:
    """Delete USER, an id or a phone, permanently."""
    found = common.run_with_context(lambda ctx: service.find(ctx, user))
    if not yes:
        name = f" ({found.name})" if found.name else ""
        click.confirm(f"Delete {found.phone}{name} permanently?", abort=True)

    async def work(ctx: Context) -> None:
        await deletion.delete(ctx, UUID(found.id), by=COMMAND)

    common.run_with_context(work)
    click.echo(f"{found.phone} is deleted")


def _set_blocked(user: str, *, is_blocked: bool) -> str:
    """Block or unblock a user, and return their phone."""

    async def work(ctx: Context) -> UserView:
        found = await service.find(ctx, user)
        return await service.change(ctx, UUID(found.id), is_blocked=is_blocked, by=COMMAND)

    return common.run_with_context(work).phone


def _labels(user: UserView) -> str:
    labels = {"admin": user.is_admin, "blocked": user.is_blocked}
    return ", ".join(label for label, applies in labels.items() if applies)


def _format(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return common.format_time(value)
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
