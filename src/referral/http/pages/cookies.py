"""Cookies: set by any handler, sent with whatever answer follows.

All are HttpOnly, for the whole site, and sent by other sites' links (Lax), never by their forms.
The prefix __Host- keeps other hosts of the domain from setting them (RFC 6265bis, section 4.1.3).
"""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from referral.http.pages import site

ACCESS, REFRESH, DEVICE = "access", "refresh", "device"
SIGN_IN, NEW_PHONE = "sign_in", "new_phone"
DRAFT = "draft"
FLASH, LANGUAGE = "flash", "language"

_PREFIX = "__Host-"
_STATE = "pages_cookies"

_Connection = ASGIConnection[Any, Any, Any, Any]


def get(connection: _Connection, name: str) -> str | None:
    """A cookie as this answer will leave it: what was set or cleared just now counts."""
    changed = _changed(connection.scope)
    if name in changed:
        return changed[name][0] or None
    return connection.cookies.get(_full(connection, name))


def put(connection: _Connection, name: str, value: str, *, seconds: int) -> None:
    """Set a cookie for so many seconds, in place of one of this name."""
    _changed(connection.scope)[name] = (value, seconds)


def clear(connection: _Connection, *names: str) -> None:
    for name in names:
        put(connection, name, "", seconds=0)


def names(connection: _Connection, *kinds: str) -> list[str]:
    """The cookies of kinds that have several, the oldest first (RFC 6265, section 5.4)."""
    begins = tuple(f"{kind}-" for kind in kinds)
    prefix = _full(connection, "")
    sent = [name.removeprefix(prefix) for name in connection.cookies if name.startswith(prefix)]
    return [name for name in sent if name.startswith(begins) and get(connection, name)]


def middleware(app: ASGIApp) -> ASGIApp:
    """Sends the cookies that were set, with answers to refusals too."""

    async def with_cookies(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_them(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_headers(scope)]
            await send(message)

        await app(scope, receive, send_them)

    return with_cookies


def _headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    of_site = site.of(scope["litestar_app"].state)
    return [
        (
            b"set-cookie",
            Cookie(
                key=_name(name, https=of_site.https),
                value=value,
                max_age=seconds,
                path="/",
                secure=of_site.https,
                httponly=True,
                samesite="lax",
            )
            .to_header(header="")
            .encode(),
        )
        for name, (value, seconds) in _changed(scope).items()
    ]


def _changed(scope: Any) -> dict[str, tuple[str, int]]:
    changed: dict[str, tuple[str, int]] = scope["state"].setdefault(_STATE, {})
    return changed


def _full(connection: _Connection, name: str) -> str:
    return _name(name, https=site.of(connection.app.state).https)


def _name(name: str, *, https: bool) -> str:
    # A browser takes the prefix with Secure alone
    return _PREFIX + name if https else name
