"""Headers that every answer carries, errors and pages too."""

from __future__ import annotations

_YEAR = 31_536_000  # seconds


def on_every_answer(*, https: bool) -> list[tuple[bytes, bytes]]:
    """https: whether people reach the service by https alone, as in production."""
    headers = [(b"x-content-type-options", b"nosniff")]
    if https:
        # RFC 6797
        headers.append((b"strict-transport-security", f"max-age={_YEAR}".encode()))
    return headers
