"""Making a secret."""

from __future__ import annotations

import secrets

import rich_click as click

_BYTES = 48


@click.group()
def secret() -> None:
    """Make the secret from which every key derives."""


@secret.command()
def new() -> None:
    """Print a new secret, for REFERRAL_SECRET."""
    click.echo(secrets.token_urlsafe(_BYTES))
