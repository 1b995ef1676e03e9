"""Users who do not exist."""

from __future__ import annotations

from dataclasses import replace

import rich_click as click

from referral.cli import common
from referral.cli.import_export import new_import, progress_bar, tell
from referral.core.errors import Refusal
from referral.core.phone import Rules
from referral.import_export import demo as demos
from referral.import_export.run import Import
from referral.settings import Settings


@click.command()
@click.option("--users", type=click.IntRange(1, demos.MOST), default=1000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Another one, other users.")
@click.option("--add", is_flag=True, help="Add them to the users who are there.")
def demo(*, users: int, seed: int, add: bool) -> None:
    """Fill the database with users who do not exist, and their invitations.

    Their phones can be nobody's: +1 290 000 0000 and on. Never in production.
    """
    with progress_bar() as progress:

        async def work(settings: Settings) -> Import:
            run = new_import(settings, report=lambda _: None, progress=progress)
            # Whatever countries are served: nothing is sent to them
            run = replace(run, rules=Rules())
            await demos.fill(users, seed=seed, add=add, production=settings.in_production, run=run)
            return run

        try:
            run = common.with_database(work)
        except Refusal as refusal:
            common.fail(refusal.detail)
    tell(run)
