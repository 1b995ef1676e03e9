"""The command that rotates the key pair for ID tokens."""

from __future__ import annotations

import rich_click as click

from referral.cli import common
from referral.openid import signing_keys


@click.group()
def signing_key() -> None:
    """Rotate the key that signs ID tokens."""


@signing_key.command()
def rotate() -> None:
    """Make a new key and print when it begins to sign.

    It is published at once, so that apps know it by then. The old key stays published.
    """
    signs_from = common.run_with_context(signing_keys.rotate)
    click.echo(f"a new key signs ID tokens from {common.format_time(signs_from)}")
