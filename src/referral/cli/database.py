"""The database, for other programs."""

from __future__ import annotations

import rich_click as click

from referral.cli import common
from referral.settings import load_database_url
from referral.storage.engines import urls


@click.group()
def database() -> None:
    """Name the database to other programs."""


@database.command()
def url() -> None:
    """Print DATABASE_URL as PostgreSQL's own tools read it: pg_dump, pg_restore, psql.

    They refuse what the service reads in it besides, such as lists=standby.
    """
    found = common.read_settings(load_database_url)
    if found.startswith("sqlite://"):
        common.fail("DATABASE_URL: a file of SQLite, which PostgreSQL's tools do not read")
    click.echo(urls.for_libpq(found))
