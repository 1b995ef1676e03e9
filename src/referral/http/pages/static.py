"""What pages load besides themselves. Its addresses change with it, so browsers keep it."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from litestar import Response, get
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath

from referral.core.errors import NotFound

_FOLDER = Path(__file__).parent / "static"
_MEDIA_TYPES = {"pages.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
_YEAR = 31_536_000  # seconds


@get(
    "/static/{name:str}",
    cache_control=CacheControlHeader(public=True, max_age=_YEAR, immutable=True),
    include_in_schema=False,
    sync_to_thread=False,
)
def asset(name: FromPath[str]) -> Response[bytes]:
    """Raises NotFound."""
    if name not in _MEDIA_TYPES:
        raise NotFound(reason="no asset")
    return Response(_read(name), media_type=_MEDIA_TYPES[name])


def url(name: str) -> str:
    return f"/static/{name}?v={sha256(_read(name)).hexdigest()[:8]}"


@cache
def _read(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
