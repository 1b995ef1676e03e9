"""The colours of the pages, derived from one accent colour.

Contrast is that of WCAG 2.2 (relative luminance, success criteria 1.4.3 and 1.4.11). Lightness,
chroma and hue are those of OKLCH.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from referral.core import oklch

MIN_CONTRAST = 4.5  # of text
# The backgrounds in pages.css on which links stand: --paper and --card
LIGHT_BACKGROUNDS = ("#f7f7f5", "#ffffff")
DARK_BACKGROUNDS = ("#14161b", "#1c1f26")

_HEX = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)
_STEP = 0.001  # of lightness
# Lightness and largest chroma of the derived colours: about those of DEFAULT
_TINT = (0.95, 0.02)
_BARS = (0.645, 0.135)
_DARK_ACCENT = (0.78, 0.12)
_ON_DARK_ACCENT = (0.2, 0.045)
_DARK_TINT = (0.3, 0.045)
_DARK_BARS = (0.605, 0.09)


@dataclass(frozen=True, slots=True)
class Colours:
    """The colours of one mode, as #rrggbb.

    accent: of links, and of the background of main buttons. on_accent: of the text on these. tint:
    the background of other buttons. bars: of charts.
    """

    accent: str
    on_accent: str
    tint: str
    bars: str


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of light and dark mode that depend on the accent colour."""

    light: Colours
    dark: Colours


DEFAULT = Palette(
    Colours(accent="#3454d1", on_accent="#ffffff", tint="#eaeefc", bars="#7187df"),
    Colours(accent="#9db2ff", on_accent="#10152b", tint="#252c45", bars="#6f7fb8"),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two colours of which one stands on the other."""

    background: str
    foreground: str

    @property
    def contrast(self) -> float:
        return contrast(self.background, self.foreground)


class TooLightError(ValueError):
    """The contrast of an accent colour is too low. nearest: the nearest colour that is accepted."""

    def __init__(self, contrast: float, nearest: str) -> None:
        self.contrast = contrast
        self.nearest = nearest
        super().__init__(contrast, nearest)


def parse(text: str) -> str:
    """Return a colour, written as #rgb or #rrggbb, as #rrggbb in lower case. Raises ValueError."""
    match = _HEX.fullmatch(text)
    if match is None:
        raise ValueError("not a colour")
    digits = match[1].lower()
    return "#" + "".join(digits if len(digits) == len("rrggbb") else (2 * it for it in digits))


def palette(accent: str) -> Palette:
    """Derive the colours of both modes. Raises TooLightError.

    In light mode the accent colour is used as it is, so it needs enough contrast. In dark mode, a
    light variant of it has that by construction.
    """
    if accent == DEFAULT.light.accent:
        return DEFAULT
    lowest = _lowest_contrast(accent)
    if lowest < MIN_CONTRAST:
        raise TooLightError(lowest, nearest(accent))
    return Palette(
        Colours(
            accent=accent, on_accent="#ffffff", tint=_tint(accent), bars=_variant(accent, _BARS)
        ),
        Colours(
            accent=_variant(accent, _DARK_ACCENT),
            on_accent=_variant(accent, _ON_DARK_ACCENT),
            tint=_variant(accent, _DARK_TINT),
            bars=_variant(accent, _DARK_BARS),
        ),
    )


def nearest(accent: str) -> str:
    """Return the colour with enough contrast that differs least in lightness.

    The hue stays, and the chroma as far as sRGB has it.
    """
    lightness, chroma, hue = oklch.of(accent)
    return next(
        each
        for each in _scale(lightness, 0.0, chroma, hue)
        if _lowest_contrast(each) >= MIN_CONTRAST
    )


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def rounded_down(contrast: float) -> float:
    """Round to one decimal, so that 4.49 is not shown as the 4.5 that it lacks."""
    return math.floor(contrast * 10) / 10


def pairs(palette: Palette) -> dict[str, tuple[Pair, Pair]]:
    """Return what stands on what, in light and in dark mode: links, buttons and bars of charts."""
    light = _pairs(palette.light, LIGHT_BACKGROUNDS)
    dark = _pairs(palette.dark, DARK_BACKGROUNDS)
    return {name: (light[name], dark[name]) for name in light}


def _pairs(colours: Colours, backgrounds: tuple[str, str]) -> dict[str, Pair]:
    on_each = [Pair(each, colours.accent) for each in backgrounds]
    _, card = backgrounds
    return {
        "links": min(on_each, key=lambda pair: pair.contrast),
        "main_buttons": Pair(colours.accent, colours.on_accent),
        "other_buttons": Pair(colours.tint, colours.accent),
        "bars": Pair(card, colours.bars),
    }


def _lowest_contrast(accent: str) -> float:
    return min(contrast(accent, each) for each in LIGHT_BACKGROUNDS)


def _tint(accent: str) -> str:
    """Return a light tint, lighter if the accent colour needs that to be readable on it."""
    _, chroma, hue = oklch.of(accent)
    lightness, most = _TINT
    # The last one is white, on which every accent colour has enough contrast
    return next(
        each
        for each in _scale(lightness, 1.0, min(chroma, most), hue)
        if contrast(accent, each) >= MIN_CONTRAST
    )


def _variant(accent: str, wanted: tuple[float, float]) -> str:
    """Return a colour of the accent's hue. wanted: its lightness and largest chroma."""
    _, chroma, hue = oklch.of(accent)
    lightness, most = wanted
    return oklch.to_hex(lightness, min(chroma, most), hue)


def _scale(start: float, end: float, chroma: float, hue: float) -> Iterator[str]:
    """Return colours from one lightness to another, in steps."""
    steps = math.ceil(abs(end - start) / _STEP)
    for number in range(steps + 1):
        part = number / steps if steps else 0.0
        yield oklch.to_hex(start + (end - start) * part, chroma, hue)


def _luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    red, green, blue = oklch.linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
