"""Numbers by day as an SVG image: no script in it, and nothing from elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Size:
    """In CSS pixels. labels: how many days have their date written below them.

    legends: how many stand side by side.
    """

    width: int
    height: int
    letters: int
    labels: int
    legends: int


# On a phone the narrow one is shrunk a little
SIZES = {
    "narrow": Size(360, 300, letters=15, labels=3, legends=1),
    "wide": Size(960, 340, letters=13, labels=7, legends=2),
}

_INK, _QUIET, _LINE = "#1b1d22", "#5c6270", "#dcdee3"
_COLOURS = ("#3454d1", "#146c43")
_DARK_INK, _DARK_QUIET, _DARK_LINE = "#eceef2", "#a3a9b7", "#343945"
_DARK_COLOURS = ("#9db2ff", "#8fd8b0")
# Told apart without colours too
_STROKES: tuple[dict[str, Any], ...] = ({"width": 2}, {"width": 2, "dasharray": "6, 4"})
_MOST_LINES = 5
_FEW_DAYS = 31
_FONTS = "system-ui, sans-serif"


def draw(
    days: Sequence[date],
    series: Mapping[str, Sequence[int]],
    *,
    title: str,
    is_dark: bool,
    size: Size,
) -> bytes:
    """A line for each series, on days from zero up. series: numbers by title, one for each day."""
    pygal = _library()
    marks = _marks(max(map(max, series.values())))
    chart = pygal.XY(
        width=size.width,
        height=size.height,
        style=pygal.style.Style(
            background="transparent",
            plot_background="transparent",
            foreground=_DARK_QUIET if is_dark else _QUIET,
            foreground_strong=_DARK_INK if is_dark else _INK,
            foreground_subtle=_DARK_LINE if is_dark else _LINE,
            colors=_DARK_COLOURS if is_dark else _COLOURS,
            font_family=_FONTS,
            label_font_size=size.letters,
            major_label_font_size=size.letters,
            legend_font_size=size.letters,
            guide_stroke_dasharray="none",
            major_guide_stroke_dasharray="none",
            guide_stroke_color=_DARK_LINE if is_dark else _LINE,
            major_guide_stroke_color=_DARK_LINE if is_dark else _LINE,
            opacity="1",
            stroke_opacity="1",
            stroke_width="2",
        ),
        js=[],
        no_prefix=True,
        legend_at_bottom=True,
        legend_at_bottom_columns=size.legends,
        truncate_label=-1,
        truncate_legend=-1,
        legend_box_size=size.letters,
        margin=8,
        margin_left=size.letters * 2,
        # Half a date stands beyond the last day
        margin_right=size.letters * 3,
        show_dots=len(days) <= _FEW_DAYS,
        dots_size=2.5,
        show_x_guides=False,
        x_value_formatter=lambda place: days[round(place)].isoformat(),
        value_formatter=lambda number: f"{number:,.0f}".replace(",", "\u202f"),
        range=(0, marks[-1]),
        xrange=(0, max(1, len(days) - 1)),
    )
    chart.x_labels = _places(len(days), size.labels)
    chart.y_labels = marks
    for (name, numbers), stroke in zip(series.items(), _STROKES, strict=True):
        chart.add(name, list(enumerate(numbers)), stroke_style=stroke)
    chart.add_xml_filter(lambda root: _bare(root, title))
    drawn: bytes = chart.render()
    return drawn


@cache
def _library() -> Any:
    """8 MB and a tenth of a second, which only those who look at charts have to spend."""
    import pygal  # noqa: PLC0415 - as said
    import pygal.style  # noqa: PLC0415 - as said

    # Its importer of maps is of a kind of which Python 3.11 warns at every import that follows
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    return pygal


def _marks(largest: int) -> list[int]:
    """Round numbers from 0 to one that is not below the largest."""
    step = 1
    for factor in (2, 5, 10) * 12:
        if step * _MOST_LINES >= largest:
            break
        step = 10 ** (len(str(step)) - 1) * factor
    return [step * number for number in range(max(1, -(-largest // step)) + 1)]


def _places(days: int, labels: int) -> list[int]:
    """Which days have their date written: the first, the last and some between."""
    count = min(labels, days)
    if count == 1:
        return [0]
    return [round(number * (days - 1) / (count - 1)) for number in range(count)]


def _bare(root: Any, title: str) -> Any:
    """Without what only pygal's script would use (itself, tooltips), remarks, and places to the
    millionth of a pixel.
    """
    for parent in list(root.iter()):
        for child in list(parent):
            kind = child.tag if isinstance(child.tag, str) else ""
            is_tooltip = child.get("class") == "tooltip" or kind.endswith("desc")
            if not kind or kind.endswith("script") or is_tooltip:
                parent.remove(child)
            elif kind.endswith("title") and parent is root:
                child.text = title
            elif kind.endswith("path"):
                child.set("d", re.sub(r"(\.\d)\d+", r"\1", child.get("d")))
    return root
