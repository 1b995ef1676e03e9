"""Entries of the ledger as lines of CSV, in exports and downloads."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from referral.core import csv_values
from referral.rewards.entries import EntryView

FIELDS = (
    *("id", "user_id", "rule", "version", "unit", "amount", "status", "cause"),
    *("about_user_id", "flags", "created_at", "available_at", "reverses"),
)


def header() -> str:
    """Return the first line."""
    return csv_values.lines([FIELDS])


def lines(entries: Iterable[EntryView]) -> str:
    """Return a line for each entry. Times are in RFC 3339; flags are separated by spaces."""
    return csv_values.lines(_values(each) for each in entries)


def _values(entry: EntryView) -> list[object]:
    values = msgspec.to_builtins(entry) | {"flags": " ".join(entry.flags)}
    return [values[name] for name in FIELDS]
