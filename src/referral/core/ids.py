"""Ids that nobody can guess."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

_BYTES = 16


def new(token_bytes: Callable[[int], bytes]) -> UUID:
    """A random id (RFC 9562, version 4). token_bytes(n): n unpredictable bytes."""
    return UUID(bytes=token_bytes(_BYTES), version=4)
