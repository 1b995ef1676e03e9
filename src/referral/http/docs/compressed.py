"""Responses of the documentation, compressed where the client accepts it (RFC 9110, section 8.4).

They are the same bytes for everybody, so that compression reveals no secret and is done once.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from typing import Any

from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse

from referral.http.requests import header_values

VARY = {"Vary": "Accept-Encoding"}
GZIP = {**VARY, "Content-Encoding": "gzip"}


class Compressed(Response[bytes]):
    """Bytes that are the same for everybody."""

    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **defaults: Any
    ) -> ASGIResponse:
        self.headers.update(VARY)
        if accepts_gzip(request):
            self.content = _compressed(self.content)
            self.headers.update(GZIP)
        return super().to_asgi_response(app, request, **defaults)


def accepts_gzip(request: Request[Any, Any, Any]) -> bool:
    """Return whether Accept-Encoding names gzip, without the weight 0 (section 12.5.3)."""
    for each in ",".join(header_values(request, b"accept-encoding")).split(","):
        coding, _, weight = each.strip().lower().partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False


def compress(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=6, mtime=0)


_compressed = lru_cache(maxsize=16)(compress)
