"""Tables in a terminal. Not in common.py, because `serve` must not import rich."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_FILE_WIDTH = 300


def show(table: Table) -> None:
    """Print a table, as wide as the terminal. Into a file or pipe it goes without line breaks."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    table.box = box.SIMPLE
    console.print(table)


def text(value: str) -> Text:
    """Make a cell of what people wrote: without markup, and without control characters."""
    return Text("".join(c if c.isprintable() else " " for c in value))
