"""The command line: one file for each group of commands."""

from __future__ import annotations

from importlib import import_module

import rich_click as click

from referral import __version__

# Each is a module that is imported only when its command runs: `serve` becomes the serving process,
# which would otherwise hold what only the other commands import
COMMANDS = (
    "admin",
    "client",
    "database",
    "demo",
    "doctor",
    "key",
    "migrate",
    "rewards",
    "secret",
    "serve",
    "signing-key",
    "users",
    "webhooks",
    "worker",
)


class _Commands(click.RichGroup):
    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        # For an unknown name import all of them, so that click can suggest similar names
        for command in (name,) if name in COMMANDS else COMMANDS:
            module = command.replace("-", "_")
            self.add_command(getattr(import_module(f"referral.cli.{module}"), module))
        return super().get_command(ctx, name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Sign-in by phone and growth by invitation.

    Settings come from environment variables and a .env file; docs/settings.md lists them.
    """
