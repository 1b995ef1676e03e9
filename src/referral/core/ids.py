"""Ids that nobody can guess."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from referral.core.errors import NotFound

_BYTES = 16


def new(token_bytes: Callable[[int], bytes]) -> UUID:
    """A random id (RFC 9562, version 4). token_bytes(n): n unpredictable bytes."""
    return UUID(bytes=token_bytes(_BYTES), version=4)


def parse(text: str) -> UUID:
    """The id in a path. Raises NotFound where there can be none such."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(reason="not an id") from None
