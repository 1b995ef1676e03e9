"""QR codes, as SVG and PNG images."""

from __future__ import annotations

from io import BytesIO

import segno

SVG, PNG = "image/svg+xml", "image/png"

_QUIET_ZONE = 4  # modules (ISO/IEC 18004)
_PNG_SCALE = 10  # pixels per module


def svg(text: str) -> bytes:
    return _draw(text, "svg", scale=1)


def png(text: str) -> bytes:
    return _draw(text, "png", scale=_PNG_SCALE)


def inline(text: str) -> str:
    """Return an <svg> element without a size, which the CSS of the page sets."""
    markup: str = _make(text).svg_inline(
        border=_QUIET_ZONE, light="white", omitsize=True, svgclass="qr", lineclass=None
    )
    return markup


def _draw(text: str, kind: str, *, scale: int) -> bytes:
    out = BytesIO()
    # A white background, so that scanners read it on a dark page too
    _make(text).save(out, kind=kind, scale=scale, border=_QUIET_ZONE, light="white")
    return out.getvalue()


def _make(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="m")
