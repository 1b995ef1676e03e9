"""The periods that a page of figures offers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

LENGTHS = (7, 30, 90)  # days, with today


@dataclass(frozen=True, slots=True)
class Preset:
    days: int
    first: date
    last: date
    is_chosen: bool


def presets(today: date, *, first: date, last: date) -> list[Preset]:
    """Return the periods that end today. first, last: the period that is shown."""
    found = []
    for days in LENGTHS:
        begin = today - timedelta(days=days - 1)
        found.append(Preset(days, begin, today, is_chosen=(first, last) == (begin, today)))
    return found
