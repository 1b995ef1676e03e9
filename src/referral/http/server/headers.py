"""The headers that every response has, including errors and pages."""

from __future__ import annotations

_YEAR = 31_536_000  # seconds


def common_headers(*, https: bool) -> list[tuple[bytes, bytes]]:
    """Return the headers that every response has.

    https: whether clients reach the service only by https, as in production.
    """
    headers = [(b"x-content-type-options", b"nosniff")]
    if https:
        # RFC 6797
        headers.append((b"strict-transport-security", f"max-age={_YEAR}".encode()))
    return headers
