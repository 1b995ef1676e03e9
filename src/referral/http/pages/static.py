"""Static files of the pages. Their URLs change with their content, so browsers may cache them."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from litestar import Response, get
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath, QueryParameter

from referral.core import image
from referral.core.colour import DEFAULT, Palette
from referral.core.errors import NotFound
from referral.core.image import Image
from referral.http.pages import site
from referral.http.pages.site import Site
from referral.http.requests import StrictRequest

_FOLDER = Path(__file__).parent / "static"
_SCRIPT = "text/javascript; charset=utf-8"
_MEDIA_TYPES = {
    "pages.js": _SCRIPT,
    "phone.js": _SCRIPT,
    "phone_formats.js": _SCRIPT,
}
YEAR = 31_536_000  # seconds
# Of an image that somebody opens as a page: a script in an SVG does not run
_IMAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; sandbox"
)

Version = Annotated[str, QueryParameter()]


@get(
    "/static/{name:str}",
    cache_control=CacheControlHeader(public=True, max_age=YEAR, immutable=True),
    include_in_schema=False,
    sync_to_thread=False,
)
def asset(request: StrictRequest, name: FromPath[str], v: Version = "") -> Response[bytes]:
    """Serve a static file. v: its version.

    Raises NotFound for an unknown name, and for another version: during a deployment an old process
    may get a request for a new file, and browsers would cache its old file for a year under the new
    URL.
    """
    if name in _MEDIA_TYPES and v == _version(name):
        return Response(_read(name), media_type=_MEDIA_TYPES[name])
    found = _images(site.of(request.app.state)).get(name)
    if found is None or v != found.version:
        raise NotFound(reason="no asset")
    return Response(
        found.content,
        media_type=found.media_type,
        headers={"Content-Security-Policy": _IMAGE_POLICY},
    )


def url(name: str) -> str:
    return f"/static/{name}?v={_version(name)}"


def image_url(kind: str, file: Image) -> str:
    """Return the URL of an image of the team. kind: logo, logo_dark, favicon or preview."""
    return f"/static/{_name(kind, file)}?v={file.version}"


@cache
def favicon(palette: Palette) -> Image:
    """Return our own icon in the team's colour."""
    drawing = _read("icon.svg").decode().replace(DEFAULT.light.accent, palette.light.accent)
    return image.parse(drawing.encode())


@cache
def preview() -> Image:
    """Return our own picture for the previews of invite links."""
    return image.parse(_read("preview.png"))


def _images(site: Site) -> dict[str, Image]:
    """Return the team's images by their names in URLs."""
    files = {
        "logo": site.logo,
        "logo_dark": site.logo_dark,
        "favicon": site.favicon,
        "preview": site.preview_image,
    }
    return {_name(kind, file): file for kind, file in files.items() if file}


def _name(kind: str, file: Image) -> str:
    return f"{kind}.{file.extension}"


@cache
def _version(name: str) -> str:
    return sha256(_read(name)).hexdigest()[:8]


@cache
def _read(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
