"""Who may administer."""

from __future__ import annotations

import rich_click as click

from referral.cli import common
from referral.service import admins


@click.group()
def admin() -> None:
    """Say who may administer."""


@admin.command()
@click.argument("phone")
def grant(phone: str) -> None:
    """Make PHONE an administrator, now or at its first sign-in."""
    number, has_account = common.with_context(lambda ctx: admins.grant(ctx, phone))
    when = "is an administrator" if has_account else "will be one at the first sign-in"
    click.echo(f"{number} {when}")


@admin.command()
@click.argument("phone")
def revoke(phone: str) -> None:
    """Make PHONE an ordinary user again."""
    number, revoked = common.with_context(lambda ctx: admins.revoke(ctx, phone))
    click.echo(f"{number} is no administrator" + ("" if revoked else ", and was none"))
