"""Generating a value for REFERRAL_SECRET."""

from __future__ import annotations

import secrets

import rich_click as click

_BYTES = 48


@click.group()
def secret() -> None:
    """Generate the secret that all keys are derived from."""


@secret.command()
def new() -> None:
    """Print a new value for REFERRAL_SECRET."""
    click.echo(secrets.token_urlsafe(_BYTES))
