"""Reasons that administrators give for what they do: one short line."""

from __future__ import annotations

MAX_REASON_LENGTH = 200


def clean(text: str) -> str | None:
    """Return the text as one line that prints, cut to its longest, or None if nothing is left."""
    line = "".join(each if each.isprintable() else " " for each in text[:MAX_REASON_LENGTH])
    return line.strip() or None
