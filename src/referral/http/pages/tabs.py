"""Values that belong to one tab of a browser.

Each is in a cookie of its own, and the tab's address names it: so two tabs never answer for each
other. A cookie and not the address has the value, since proxies write addresses into their logs.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
from litestar import Request

from referral.http.pages import cookie_value, cookies

T = TypeVar("T")

# Bytes of these cookies together. With the others they have to fit into 8 KB, nginx's default
_ROOM = 5000
_KINDS = (cookies.SIGN_IN, cookies.NEW_PHONE, cookies.DRAFT)
_KEY = re.compile(r"[0-9a-f]{8}")


def key_of(*texts: str) -> str:
    """The key of what these texts tell apart from everything else in a browser."""
    return sha256("\0".join(texts).encode()).hexdigest()[:8]


def keep(
    request: Request[Any, Any, Any], kind: str, key: str, value: msgspec.Struct, *, seconds: int
) -> None:
    """Keep a value in place of one of this key. The oldest of all make room for it."""
    if not _KEY.fullmatch(key):
        return
    text, own = cookie_value.write(value), f"{kind}-{key}"
    limiter = _ROOM - len(text)
    for name in reversed(cookies.names(request, *_KINDS)):
        limiter -= len(cookies.get(request, name) or "") if name != own else 0
        if limiter < 0:
            cookies.clear(request, name)
    cookies.put(request, own, text, seconds=seconds)


def find(
    request: Request[Any, Any, Any], kind: str, value_type: type[T], *, key: str | None
) -> T | None:
    """The value of this key, or without one the newest."""
    if key is not None:
        return cookie_value.read(cookies.get(request, f"{kind}-{key}"), value_type)
    return next(iter(find_all(request, kind, value_type)), None)


def find_all(request: Request[Any, Any, Any], kind: str, value_type: type[T]) -> list[T]:
    """Every value of a kind, the newest first."""
    texts = [cookies.get(request, name) for name in reversed(cookies.names(request, kind))]
    values = [cookie_value.read(text, value_type) for text in texts]
    return [value for value in values if value is not None]


def forget(request: Request[Any, Any, Any], kind: str, key: str) -> None:
    name = f"{kind}-{key}"
    if name in cookies.names(request, kind):
        cookies.clear(request, name)


def forget_all(request: Request[Any, Any, Any]) -> None:
    """Clear what whoever sits here next has no business with: phones, and what was typed."""
    cookies.clear(request, *cookies.names(request, *_KINDS))
