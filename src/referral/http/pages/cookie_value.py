"""Structs as cookie values: JSON in base64url.

They are neither encrypted nor signed: a client that changes them affects only what it is shown and
where its own forms lead.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

T = TypeVar("T")


def encode(value: msgspec.Struct) -> str:
    return urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


def parse(text: str | None, kind: type[T]) -> T | None:
    """Return the value, or None for text that `encode` did not make."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
