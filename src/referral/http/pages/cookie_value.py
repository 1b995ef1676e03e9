"""A value in a cookie, for the same browser to bring back.

It is not sealed: nothing depends on it but what this browser shows, and where its forms begin.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

T = TypeVar("T")


def write(value: msgspec.Struct) -> str:
    return urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


def read(text: str | None, kind: type[T]) -> T | None:
    """The value, or None where somebody wrote something else there."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
