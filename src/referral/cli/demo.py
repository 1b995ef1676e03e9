"""Filling a database with fictitious users."""

from __future__ import annotations

from dataclasses import replace

import rich_click as click

from referral.cli import common
from referral.cli.import_export import new_import, print_counts, progress_bar
from referral.core.errors import Refusal
from referral.core.phone import PhoneRules
from referral.import_export import demo as demos
from referral.import_export.run import ImportRun
from referral.settings import Settings


@click.command()
@click.option(
    "--users",
    type=click.IntRange(1, demos.MAX_USERS),
    default=1000,
    show_default=True,
    help="How many users to make.",
)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="Seed of the random numbers. The same seed makes the same users.",
)
@click.option("--add", is_flag=True, help="Add them even if there are users already.")
def demo(*, users: int, seed: int, add: bool) -> None:
    """Fill the database with fictitious users and their invitations.

    Their phones, from +1 290 000 0000 on, cannot belong to anybody. Refused in production.
    """
    with progress_bar() as progress:

        async def work(settings: Settings) -> ImportRun:
            run = new_import(settings, report=lambda _: None, progress=progress)
            # The settings' countries do not matter: nothing is sent to these phones
            run = replace(run, rules=PhoneRules())
            await demos.fill(users, seed=seed, add=add, production=settings.in_production, run=run)
            return run

        try:
            run = common.run_with_database(work)
        except Refusal as refusal:
            common.fail(refusal.detail)
    print_counts(run)
