"""The users, for operators."""

from __future__ import annotations

import rich_click as click


@click.group()
def users() -> None:
    """Look after the users."""
