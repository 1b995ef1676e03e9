"""Values that belong to one browser tab.

Each value has its own cookie, and the tab's URL carries the cookie's key, so two tabs never
overwrite each other. The value itself is in the cookie, not in the URL, because proxies log URLs.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
from litestar import Request

from referral.http.pages import cookie_value, cookies

T = TypeVar("T")

# Of all these cookies. Together with the others they must fit into 8 KB, nginx's default limit
_MAX_BYTES = 5000
_KINDS = (cookies.SIGN_IN, cookies.NEW_PHONE, cookies.DRAFT)
_KEY = re.compile(r"[0-9a-f]{8}")


def key_of(*texts: str) -> str:
    """Derive the key of a value from texts that only it has in this browser."""
    return sha256("\0".join(texts).encode()).hexdigest()[:8]


def keep(
    request: Request[Any, Any, Any], kind: str, key: str, value: msgspec.Struct, *, seconds: int
) -> None:
    """Set the value of a key. If space is short, the oldest values of any kind are cleared."""
    if not _KEY.fullmatch(key):
        return
    text, own = cookie_value.encode(value), f"{kind}-{key}"
    space = _MAX_BYTES - len(text)
    for name in reversed(cookies.names(request, *_KINDS)):
        space -= len(cookies.get(request, name) or "") if name != own else 0
        if space < 0:
            cookies.clear(request, name)
    cookies.put(request, own, text, seconds=seconds)


def find(
    request: Request[Any, Any, Any], kind: str, value_type: type[T], *, key: str | None
) -> T | None:
    """Return the value of a key, or the newest one if the key is None."""
    if key is not None:
        return cookie_value.parse(cookies.get(request, f"{kind}-{key}"), value_type)
    return next(iter(find_all(request, kind, value_type)), None)


def find_all(request: Request[Any, Any, Any], kind: str, value_type: type[T]) -> list[T]:
    """Return every value of a kind, newest first."""
    texts = [cookies.get(request, name) for name in reversed(cookies.names(request, kind))]
    values = [cookie_value.parse(text, value_type) for text in texts]
    return [value for value in values if value is not None]


def clear(request: Request[Any, Any, Any], kind: str, key: str) -> None:
    name = f"{kind}-{key}"
    if name in cookies.names(request, kind):
        cookies.clear(request, name)


def clear_all(request: Request[Any, Any, Any]) -> None:
    """Clear all values: they hold phones and typed text, which the next user must not see."""
    cookies.clear(request, *cookies.names(request, *_KINDS))
