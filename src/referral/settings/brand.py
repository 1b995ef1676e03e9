"""The team's own look of the pages: logo, favicon and accent colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from referral.core import colour, image
from referral.core.colour import Palette, TooLightError
from referral.core.image import Image
from referral.settings.reader import Reader

_MAX_BYTES = 100_000

_LOGO, _LOGO_DARK = "REFERRAL_LOGO", "REFERRAL_LOGO_DARK"


def read(reader: Reader) -> dict[str, Any]:
    """Read the settings of the look, by the names of their fields."""
    logo = reader.read(_LOGO, image_file, None)
    logo_dark = reader.read(_LOGO_DARK, image_file, None)
    if logo_dark is not None and not reader.is_set(_LOGO):
        reader.problems.append(f"{_LOGO_DARK}: set {_LOGO} too, which light mode shows")
    return {
        "logo": logo,
        "logo_dark": logo_dark,
        "favicon": reader.read("REFERRAL_FAVICON", image_file, None),
        "palette": reader.read("REFERRAL_ACCENT", palette, colour.DEFAULT),
    }


def image_file(text: str, *, max_bytes: int = _MAX_BYTES) -> Image:
    """Read an image file. text: its path. Raises ValueError, which says what to do."""
    path = Path(text)
    try:
        if not path.is_file():
            raise ValueError(
                "there is no such file; a relative path starts in the working directory"
            )
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    if len(content) > max_bytes:
        raise ValueError(f"the file is larger than {max_bytes // 1000} KB: save a smaller one")
    return image.parse(content)


def palette(text: str) -> Palette:
    """Parse the accent colour. Raises ValueError."""
    try:
        accent = colour.parse(text)
    except ValueError:
        raise ValueError("must be a colour such as #3454d1 or #06c, without transparency") from None
    try:
        return colour.palette(accent)
    except TooLightError as error:
        contrast = colour.rounded_down(error.contrast)
        raise ValueError(
            f"links in this colour would have a contrast of {contrast}:1, and need "
            f"{colour.MIN_CONTRAST}:1; the nearest colour that has it is {error.nearest}"
        ) from None
