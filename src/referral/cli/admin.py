"""Granting and revoking the rights of administrators."""

from __future__ import annotations

import rich_click as click

from referral.cli import common
from referral.service import admins


@click.group()
def admin() -> None:
    """Grant and revoke the rights of administrators."""


@admin.command()
@click.argument("phone")
def grant(phone: str) -> None:
    """Make the user of PHONE an administrator, now or at the first sign-in."""
    number, has_account = common.run_with_context(lambda ctx: admins.grant(ctx, phone))
    state = (
        "is an administrator"
        if has_account
        else "will become an administrator at the first sign-in"
    )
    click.echo(f"{number} {state}")
    common.echo_database()


@admin.command()
@click.argument("phone")
def revoke(phone: str) -> None:
    """Make the user of PHONE an ordinary user again."""
    number, revoked = common.run_with_context(lambda ctx: admins.revoke(ctx, phone))
    state = "is no longer an administrator" if revoked else "was not an administrator"
    click.echo(f"{number} {state}")
    common.echo_database()
