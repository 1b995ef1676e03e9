"""The command line: a file for each group of commands."""

from __future__ import annotations

import rich_click as click

from referral import __version__
from referral.cli.admin import admin
from referral.cli.database import database
from referral.cli.demo import demo
from referral.cli.doctor import doctor
from referral.cli.key import key
from referral.cli.migrate import migrate
from referral.cli.secret import secret
from referral.cli.serve import serve
from referral.cli.transfer import export, import_
from referral.cli.users import users
from referral.cli.webhooks import webhooks
from referral.cli.worker import worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Sign-in by phone and growth by invitation.

    Settings come from environment variables and a .env file; README.md lists them.
    """


for command in (
    serve,
    worker,
    migrate,
    secret,
    admin,
    key,
    users,
    webhooks,
    demo,
    doctor,
    database,
):
    main.add_command(command)
for command in (import_, export):
    users.add_command(command)
