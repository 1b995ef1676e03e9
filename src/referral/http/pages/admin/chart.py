"""The chart of daily counts: its axes and paths, which the template admin/chart.html draws as SVG.

Paths are in units of the data: one unit across is one day, one unit up is one user. The template
stretches them, so the same chart fits every screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from referral.service.stats import Day

_MOST_STEPS = 5
_MOST_DATES = 3
# If there are more days, they are too narrow for gaps between them and for tooltips
_MOST_WIDE_DAYS = 92


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart to draw.

    marks: the numbers on the y axis, round, from 0 to at least the largest value. dated: indices of
    the days whose date is on the x axis. bars, dashes: path data of the days that are over.
    so_far: the day that is not over, if the chart has it.
    """

    marks: list[int]
    dated: list[int]
    bars: str
    dashes: str
    has_tooltips: bool
    so_far: SoFar | None


@dataclass(frozen=True, slots=True)
class SoFar:
    """The bar and the dash of a day that is not over.

    left, width, top, height: of the bar, in percent of the chart, which a pattern fills without
    being stretched. dash: path data.
    """

    left: float
    width: float
    top: float
    height: float
    dash: str


def draw(days: Sequence[Day], *, today: date) -> Chart:
    """Draw a bar for the sign-ups of each day, and a dash for its activations.

    today: the day that is not over, in UTC.
    """
    marks = _marks(max(max(day.sign_ups, day.activations) for day in days))
    top, is_wide = marks[-1], len(days) <= _MOST_WIDE_DAYS
    gap, width = (0.1, 0.8) if is_wide else (0, 1)
    numbered = [(x, day) for x, day in enumerate(days) if day.day < today]
    return Chart(
        marks=marks,
        dated=_dated(len(days)),
        bars="".join(
            f"M{x + gap} {top}v-{day.sign_ups}h{width}v{day.sign_ups}z"
            for x, day in numbered
            if day.sign_ups
        ),
        dashes="".join(f"M{x + gap} {top - day.activations}h{width}" for x, day in numbered),
        has_tooltips=is_wide,
        so_far=next(
            (
                SoFar(
                    left=100 * (x + gap) / len(days),
                    width=100 * width / len(days),
                    top=100 - 100 * day.sign_ups / top,
                    height=100 * day.sign_ups / top,
                    dash=f"M{x + gap} {top - day.activations}h{width}",
                )
                for x, day in enumerate(days)
                if day.day == today
            ),
            None,
        ),
    )


def _marks(largest: int) -> list[int]:
    step = 1
    for factor in (2, 5, 10) * 12:
        if step * _MOST_STEPS >= largest:
            break
        step = 10 ** (len(str(step)) - 1) * factor
    return [step * number for number in range(max(1, -(-largest // step)) + 1)]


def _dated(count: int) -> list[int]:
    """Return the indices of the first day, the last, and some between at even distances."""
    gaps = max(1, min(_MOST_DATES, count) - 1)
    return sorted({round(number * (count - 1) / gaps) for number in range(gaps + 1)})
