"""The database URL, for other programs."""

from __future__ import annotations

import rich_click as click

from referral.cli import common
from referral.settings import load_database_url
from referral.settings.reader import or_exit
from referral.storage.engines import urls


@click.group()
def database() -> None:
    """Print how other programs connect to the database."""


@database.command()
def url() -> None:
    """Print DATABASE_URL in the form that pg_dump, pg_restore and psql accept.

    They refuse the options that only this service understands, such as lists=standby.
    """
    found = or_exit(load_database_url)
    if found.startswith("sqlite://"):
        common.fail(
            "DATABASE_URL: names a SQLite file, which PostgreSQL's tools cannot read; back it up "
            "with sqlite3's .backup"
        )
    click.echo(urls.for_libpq(found))
