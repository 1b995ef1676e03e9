"""Who may administer."""

from __future__ import annotations

import rich_click as click

from referral.cli import common
from referral.core.errors import Refusal
from referral.service import admins
from referral.settings import Settings


@click.group()
def admin() -> None:
    """Say who may administer."""


@admin.command()
@click.argument("phone")
def grant(phone: str) -> None:
    """Make PHONE an administrator, now or at its first sign-in."""

    async def work(settings: Settings) -> tuple[str, bool]:
        return await admins.grant(
            phone,
            rules=settings.phone_rules,
            test_phones=settings.test_phones,
            open_demo=settings.is_open_demo,
        )

    try:
        number, has_account = common.with_database(work)
    except Refusal as refusal:
        common.fail(refusal.detail)
    when = "is an administrator" if has_account else "will be one at the first sign-in"
    click.echo(f"{number} {when}")


@admin.command()
@click.argument("phone")
def revoke(phone: str) -> None:
    """Make PHONE an ordinary user again."""

    async def work(settings: Settings) -> tuple[str, bool]:
        return await admins.revoke(phone, rules=settings.phone_rules)

    try:
        number, revoked = common.with_database(work)
    except Refusal as refusal:
        common.fail(refusal.detail)
    click.echo(f"{number} is no administrator" + ("" if revoked else ", and was none"))
