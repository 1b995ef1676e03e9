"""Exporting rewards."""

from __future__ import annotations

from datetime import date, datetime

import rich_click as click

from referral.assembly import system_clock
from referral.cli import common, files
from referral.cli.import_export import progress_bar
from referral.rewards import export as exports
from referral.rewards.export import Format, Run
from referral.settings import Settings

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def rewards() -> None:
    """Export rewards."""


@rewards.command()
@click.option(
    "--format",
    "format_name",
    type=click.Choice([each.value for each in Format]),
    default=Format.CSV.value,
    show_default=True,
    help="CSV with a header, or a plain-text journal.",
)
@click.option("--from", "first", type=_DAY, metavar="DAY", help="Only from this day on (UTC).")
@click.option("--until", "end", type=_DAY, metavar="DAY", help="Only before this day (UTC).")
@click.option(
    "--output", default=files.STREAM, metavar="FILE", help="Default: -, the standard output."
)
def export(format_name: str, first: datetime | None, end: datetime | None, output: str) -> None:
    """Export the entries of the ledger, oldest first.

    docs/rewards.md describes the accounts of a journal.
    """
    first_day = first.date() if first else date.min
    end_day = end.date() if end else date.max
    if first_day >= end_day:
        common.fail("--until must be a later day than --from: that day is not included")

    async def work(_: Settings) -> int:
        with files.open_to_write(output) as write, progress_bar() as progress:
            run = Run(
                write=write,
                progress=lambda done: progress("entries", done, None),
                now=system_clock(),
                first_day=first_day,
                end_day=end_day,
            )
            return await exports.export(run, Format(format_name))

    exported = common.run_with_database(work)
    click.echo(
        f"{exported:,} {'entry' if exported == 1 else 'entries'}", err=output == files.STREAM
    )
