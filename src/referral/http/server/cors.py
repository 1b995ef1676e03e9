"""Which pages of other origins may read the answers (Fetch standard, section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

Header = tuple[bytes, bytes]

# Whoever checks an access token by itself needs them, in a browser too
_OPEN_PREFIX = "/.well-known/"
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_EXPOSED = b"Location, Retry-After, RateLimit, RateLimit-Policy, X-Request-ID, WWW-Authenticate"
_MAX_AGE_SECONDS = b"600"
# Names of headers (RFC 9110, section 5.6.2)
_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~ \t,-]{1,2000}")


class Cors:
    """The rules of one service. Cookies are never allowed: no answer lets them be sent along."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(self, path: str, given: Iterable[Header]) -> list[Header]:
        """What an answer to a request with these headers carries, whatever its status."""
        if not self._origins and not path.startswith(_OPEN_PREFIX):
            return []
        allowed = self._allowed(path, _value(given, b"origin"))
        # Caches keep an answer for one origin apart from those for others
        vary = [] if path.startswith(_OPEN_PREFIX) else [(b"vary", b"Origin")]
        if allowed is None:
            return vary
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", _EXPOSED),
            *vary,
        ]

    def preflight(self, path: str, given: Iterable[Header]) -> list[Header] | None:
        """The headers of the 204 that answers a preflight; None if this is none that is allowed."""
        given = list(given)
        allowed = self._allowed(path, _value(given, b"origin"))
        if allowed is None or _value(given, b"access-control-request-method") is None:
            return None
        wanted = _value(given, b"access-control-request-headers")
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-allow-methods", _METHODS),
            # Any of them; `*` would leave out Authorization
            *(
                [(b"access-control-allow-headers", wanted)]
                if wanted and _NAMES.fullmatch(wanted)
                else []
            ),
            (b"access-control-max-age", _MAX_AGE_SECONDS),
            (b"vary", b"Origin, Access-Control-Request-Headers"),
        ]

    def _allowed(self, path: str, origin: bytes | None) -> bytes | None:
        """The value of Access-Control-Allow-Origin."""
        if origin is None:
            return None
        if path.startswith(_OPEN_PREFIX):
            return b"*"
        return origin if origin in self._origins else None


def _value(headers: Iterable[Header], name: bytes) -> bytes | None:
    return next((value for each, value in headers if each == name), None)
