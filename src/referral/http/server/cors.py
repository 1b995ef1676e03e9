"""Cross-origin access: which origins may read responses (Fetch Standard, section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

Header = tuple[bytes, bytes]

# Any origin may read the public keys: an app in a browser needs them to verify a token
_OPEN_PREFIX = "/.well-known/"
# The pages of single-page apps may call these
CLIENT_PATHS = frozenset({"/oauth/token", "/oauth/revoke", "/oauth/userinfo"})
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_EXPOSED = b"Location, Retry-After, RateLimit, RateLimit-Policy, X-Request-ID, WWW-Authenticate"
_MAX_AGE_SECONDS = b"600"
# A list of header names (RFC 9110, section 5.6.2)
_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~ \t,-]{1,2000}")


class Cors:
    """The rules for these origins. Cookies are never allowed, whatever the origin.

    origins: as a browser writes them, of any scheme, such as `capacitor://localhost`.
    """

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(
        self, path: str, given: Iterable[Header], *, of_client: bool = False
    ) -> list[Header]:
        """Return the headers of the response to a request, whatever its status.

        given: the request's headers. of_client: whether its origin is that of a public client,
        for one of CLIENT_PATHS.
        """
        if not self._origins and not path.startswith(_OPEN_PREFIX) and path not in CLIENT_PATHS:
            return []
        allowed = self._allowed(path, origin(given), of_client=of_client)
        # A cache must not give one origin the response for another
        vary = [] if path.startswith(_OPEN_PREFIX) else [(b"vary", b"Origin")]
        if allowed is None:
            return vary
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", _EXPOSED),
            *vary,
        ]

    def preflight(
        self, path: str, given: Iterable[Header], *, of_client: bool = False
    ) -> list[Header] | None:
        """Return the headers of the 204 for a preflight; None if it is not one, or not allowed.

        given, of_client: as for `headers`.
        """
        given = list(given)
        allowed = self._allowed(path, origin(given), of_client=of_client)
        if allowed is None or _value(given, b"access-control-request-method") is None:
            return None
        requested = _value(given, b"access-control-request-headers")
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-allow-methods", _METHODS),
            # Allow any header by repeating the list: `*` would not cover Authorization
            *(
                [(b"access-control-allow-headers", requested)]
                if requested and _NAMES.fullmatch(requested)
                else []
            ),
            (b"access-control-max-age", _MAX_AGE_SECONDS),
            (b"vary", b"Origin, Access-Control-Request-Headers"),
        ]

    def _allowed(self, path: str, origin: bytes | None, *, of_client: bool) -> bytes | None:
        """Return the value of Access-Control-Allow-Origin; None if the origin is not allowed."""
        if origin is None:
            return None
        if path.startswith(_OPEN_PREFIX):
            return b"*"
        return origin if of_client or origin in self._origins else None


def origin(headers: Iterable[Header]) -> bytes | None:
    """Return the origin of the page that sends a request, if it names one."""
    return _value(headers, b"origin")


def _value(headers: Iterable[Header], name: bytes) -> bytes | None:
    return next((value for each, value in headers if each == name), None)
