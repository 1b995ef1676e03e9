"""Tables in a terminal. Apart from common.py, because `serve` shows none and needs no rich."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 300


def show(table: Table) -> None:
    """Print a table: as wide as the terminal, and whole where it goes into a file."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    table.box = box.SIMPLE
    console.print(table)


def text(value: str) -> Text:
    """What people wrote, as it is: no markup, and nothing that moves a terminal's cursor."""
    return Text("".join(c if c.isprintable() else " " for c in value))
