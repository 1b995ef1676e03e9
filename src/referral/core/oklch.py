"""sRGB colours as lightness, chroma and hue of OKLCH, in which equal steps look equal.

CSS Color 4, sections 9 and 10.2; https://bottosson.github.io/posts/oklab. Colours are #rrggbb.
"""

from __future__ import annotations

import math

# The ends of the linear segments of sRGB's transfer function (IEC 61966-2-1)
_LINEAR_BELOW, _ENCODED_BELOW = 0.0031308, 0.04045
_TOLERANCE = 1e-4
_HALVINGS = 20


def linear(colour: str) -> tuple[float, float, float]:
    """Return the linear-light components of a colour in sRGB, from 0 to 1."""
    values = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= _ENCODED_BELOW else ((each + 0.055) / 1.055) ** 2.4
        for each in values
    )
    return red, green, blue


def of(colour: str) -> tuple[float, float, float]:
    """Return lightness from 0 to 1, chroma, and hue in radians."""
    red, green, blue = linear(colour)
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    medium = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    lightness = 0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short
    a = 1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short
    b = 0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short
    return lightness, math.hypot(a, b), math.atan2(b, a)


def to_hex(lightness: float, chroma: float, hue: float) -> str:
    """Return a colour of sRGB with this lightness and hue, and as much of the chroma as it has."""
    low, high = 0.0, chroma
    components = _from_oklch(lightness, chroma, hue)
    if not _is_in_srgb(components):
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if _is_in_srgb(_from_oklch(lightness, middle, hue)):
                low = middle
            else:
                high = middle
        components = _from_oklch(lightness, low, hue)
    return "#" + "".join(f"{_encode(each):02x}" for each in components)


def _from_oklch(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    """Return linear-light components, which are outside 0 to 1 for colours that sRGB lacks."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _is_in_srgb(components: tuple[float, float, float]) -> bool:
    return all(-_TOLERANCE <= each <= 1 + _TOLERANCE for each in components)


def _encode(component: float) -> int:
    """Return a linear component as one of sRGB, from 0 to 255."""
    light = min(max(component, 0.0), 1.0)
    value = 12.92 * light if light <= _LINEAR_BELOW else 1.055 * light ** (1 / 2.4) - 0.055
    return round(255 * value)
