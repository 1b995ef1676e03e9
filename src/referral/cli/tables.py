"""Tables in a terminal. Not in common.py, because `serve` must not import rich."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_FILE_WIDTH = 300


def show(table: Table) -> None:
    """Print a table as wide as the terminal, or 300 columns wide into a file or pipe."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    table.box = box.SIMPLE
    console.print(table)


def text(value: str) -> Text:
    """Make a cell of text that people wrote. Markup in it has no effect."""
    return Text("".join(c if c.isprintable() else " " for c in value))
