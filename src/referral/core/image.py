"""Image files of the team: their kind, recognised by their content, and their size."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from xml.parsers import expat

SVG, PNG, ICO, WEBP = "image/svg+xml", "image/png", "image/vnd.microsoft.icon", "image/webp"
EXTENSIONS = {SVG: "svg", PNG: "png", ICO: "ico", WEBP: "webp"}

# Of a logo, in CSS pixels: up to a ratio of 5.2:1 it has this height; tall ones may be higher
_LOGO_HEIGHT, _MAX_LOGO_WIDTH, _MAX_LOGO_HEIGHT = 40, 208, 60

# Of the image itself
_MIN_SIZE, _MAX_SIZE = 0.001, 1_000_000

_SVG_ROOT = "http://www.w3.org/2000/svg svg"
_LENGTH = re.compile(
    r"\s*\+?([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)(px|pt|pc|mm|cm|in|q)?\s*", re.IGNORECASE
)
# CSS Values 4, section 6.2
_PIXELS = {"px": 1, "pt": 4 / 3, "pc": 16, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96, "q": 0.945}
_PNG_START, _ICO_START = b"\x89PNG\r\n\x1a\n", b"\0\0\1\0"


@dataclass(frozen=True, slots=True)
class Image:
    """An image file. width, height: of the image itself, of which only the ratio matters."""

    content: bytes
    media_type: str
    width: float
    height: float

    @property
    def extension(self) -> str:
        return EXTENSIONS[self.media_type]

    @property
    def version(self) -> str:
        """A digest of the content, for URLs that may be cached."""
        return _digest(self.content)[:8]


def parse(content: bytes) -> Image:
    """Recognise a file by its content. Raises ValueError, which says what is wrong."""
    for start, media_type, size_of in _KINDS:
        if re.match(start, content, re.DOTALL):
            try:
                width, height = size_of(content)
            except (struct.error, IndexError):
                raise ValueError("the file is damaged: save the image again") from None
            return _image(content, media_type, width, height)
    width, height = _svg_size(content)
    return _image(content, SVG, width, height)


def logo_size(logo: Image) -> tuple[int, int]:
    """Return the width and height in which a logo is shown, in CSS pixels."""
    ratio = logo.width / logo.height
    height = min(_LOGO_HEIGHT / math.sqrt(min(ratio, 1)), _MAX_LOGO_HEIGHT)
    height = min(height, _MAX_LOGO_WIDTH / ratio)
    return max(round(height * ratio), 1), max(round(height), 1)


@lru_cache(maxsize=32)
def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def _image(content: bytes, media_type: str, width: float, height: float) -> Image:
    # Also false for NaN, which an SVG may have
    if not (_MIN_SIZE < width < _MAX_SIZE and _MIN_SIZE < height < _MAX_SIZE):
        raise ValueError("the image has no usable size: give it a width and a height above 0")
    return Image(content, media_type, width, height)


def _png_size(content: bytes) -> tuple[float, float]:
    """Return the size in the header (PNG, third edition, section 11.2.1)."""
    if content[12:16] != b"IHDR" or b"IEND" not in content:
        raise IndexError
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _webp_size(content: bytes) -> tuple[float, float]:
    """Return the size of the canvas (RFC 9649, section 2)."""
    (length,) = struct.unpack_from("<I", content, 4)
    if length + 8 > len(content):
        raise IndexError
    kind = content[12:16]
    if kind == b"VP8X":
        return (
            int.from_bytes(content[24:27], "little") + 1,
            int.from_bytes(content[27:30], "little") + 1,
        )
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", content, 26)  # VP8, RFC 6386, section 9.1
    return width & 0x3FFF, height & 0x3FFF


def _ico_size(content: bytes) -> tuple[float, float]:
    """Return the size of the largest image. 0 means 256."""
    (count,) = struct.unpack_from("<H", content, 4)
    sizes = []
    for number in range(count):
        width, height, length, offset = struct.unpack_from("<BB6xII", content, 6 + 16 * number)
        if offset + length > len(content):
            raise IndexError
        sizes.append((width or 256, height or 256))
    if not sizes:
        raise IndexError
    return max(sizes)


def _svg_size(content: bytes) -> tuple[float, float]:
    """Return the size of an SVG (SVG 2, section 7.2). Raises ValueError if it is no such file."""
    attributes = _svg_attributes(content)
    width, height = _pixels(attributes.get("width", "")), _pixels(attributes.get("height", ""))
    if width is not None and height is not None:
        return width, height
    try:
        _, _, width, height = map(float, re.split(r"[\s,]+", attributes["viewBox"].strip()))
    except (KeyError, ValueError):
        raise ValueError("the SVG has no size: give it width and height, or a viewBox") from None
    return width, height


def _pixels(length: str) -> float | None:
    """Return an absolute length in CSS pixels, or None for a relative or invalid one."""
    match = _LENGTH.fullmatch(length)
    return float(match[1]) * _PIXELS[(match[2] or "px").lower()] if match else None


def _svg_attributes(content: bytes) -> dict[str, str]:
    """Return the attributes of the root element."""
    found: list[tuple[str, dict[str, str]]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if not found:
            found.append((name, attributes))

    # It neither loads external entities nor lets internal ones grow
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        if found and found[0][0] == _SVG_ROOT:
            raise ValueError(f"the SVG is not valid XML in line {error.lineno}") from None
        raise ValueError("must be an SVG, PNG, ICO or WebP file") from None
    name, attributes = found[0]
    if name != _SVG_ROOT:
        raise ValueError(
            'the SVG lacks xmlns="http://www.w3.org/2000/svg"'
            if name == "svg"
            else "must be an SVG, PNG, ICO or WebP file"
        )
    return attributes


_KINDS: tuple[tuple[bytes, str, Callable[[bytes], tuple[float, float]]], ...] = (
    (re.escape(_PNG_START), PNG, _png_size),
    (re.escape(_ICO_START), ICO, _ico_size),
    (b"RIFF.{4}WEBP", WEBP, _webp_size),
)
