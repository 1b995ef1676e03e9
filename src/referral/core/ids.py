"""Unguessable ids."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from referral.core.errors import NotFound

_BYTES = 16


def new(token_bytes: Callable[[int], bytes]) -> UUID:
    """Return a random UUID (RFC 9562, version 4). token_bytes(n) returns n unpredictable bytes."""
    return UUID(bytes=token_bytes(_BYTES), version=4)


def parse(text: str) -> UUID:
    """Parse an id from a URL path. Raises NotFound if the text is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(reason="not an id") from None
