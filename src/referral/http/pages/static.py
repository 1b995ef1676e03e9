"""Static files of the pages. Their URLs change with their content, so browsers may cache them."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from litestar import Response, get
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath, QueryParameter

from referral.core.errors import NotFound

_FOLDER = Path(__file__).parent / "static"
_MEDIA_TYPES = {"pages.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
_YEAR = 31_536_000  # seconds

Version = Annotated[str, QueryParameter()]


@get(
    "/static/{name:str}",
    cache_control=CacheControlHeader(public=True, max_age=_YEAR, immutable=True),
    include_in_schema=False,
    sync_to_thread=False,
)
def asset(name: FromPath[str], v: Version = "") -> Response[bytes]:
    """Serve a static file. v: its version.

    Raises NotFound for an unknown name, and for another version: during a deployment an old process
    may get a request for a new file, and browsers would cache its old file for a year under the new
    URL.
    """
    if name not in _MEDIA_TYPES or v != _version(name):
        raise NotFound(reason="no asset")
    return Response(_read(name), media_type=_MEDIA_TYPES[name])


def url(name: str) -> str:
    return f"/static/{name}?v={_version(name)}"


@cache
def _version(name: str) -> str:
    return sha256(_read(name)).hexdigest()[:8]


@cache
def _read(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
