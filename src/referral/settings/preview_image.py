"""The picture that messengers show beside an invite link."""

from __future__ import annotations

from referral.core import image
from referral.core.image import Image
from referral.settings.brand import image_file

_SIZE = (1200.0, 630.0)  # pixels
# Messengers may not load more
_MAX_BYTES = 1_000_000


def read(path: str) -> Image:
    """Read a PNG of 1200x630 pixels. Raises ValueError, which says what to do."""
    picture = image_file(path, max_bytes=_MAX_BYTES)
    if picture.media_type != image.PNG:
        raise ValueError("must be a PNG: export the picture as one of 1200x630 pixels")
    if (picture.width, picture.height) != _SIZE:
        raise ValueError(
            f"has {picture.width:.0f}x{picture.height:.0f} pixels; messengers cut other sizes, "
            "so give one of 1200x630"
        )
    return picture
