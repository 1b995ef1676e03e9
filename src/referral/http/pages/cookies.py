"""Cookies of the pages: any handler can set them, and a middleware adds them to the response.

All are HttpOnly, valid for the whole site, and SameSite=Lax: browsers send them if somebody follows
a link from another site, but not if another site submits a form. The prefix `__Host-` prevents
other hosts of the domain from setting them (RFC 6265bis, section 4.1.3).
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
    """Return the value of a cookie, as this request has changed it."""
    changed = _changed(connection.scope)
    if name in changed:
        return changed[name][0] or None
    return connection.cookies.get(_full(connection, name))


def put(connection: _Connection, name: str, value: str, *, seconds: int) -> None:
    """Set or replace a cookie. seconds: its lifetime."""
    _changed(connection.scope)[name] = (value, seconds)


def clear(connection: _Connection, *names: str) -> None:
    for name in names:
        put(connection, name, "", seconds=0)


def names(connection: _Connection, *kinds: str) -> list[str]:
    """Return the names of all cookies called `{kind}-...`, oldest first (RFC 6265, section 5.4)."""
    begins = tuple(f"{kind}-" for kind in kinds)
    prefix = _full(connection, "")
    sent = [name.removeprefix(prefix) for name in connection.cookies if name.startswith(prefix)]
    return [name for name in sent if name.startswith(begins) and get(connection, name)]


def middleware(app: ASGIApp) -> ASGIApp:
    """Add the changed cookies to every response, including errors."""

    async def with_cookies(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_headers(scope)]
            await send(message)

        await app(scope, receive, send_with_cookies)

    return with_cookies


def _headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    https = site.of(scope["litestar_app"].state).https
    return [
        (
            b"set-cookie",
            Cookie(
                key=_name(name, https=https),
                value=value,
                max_age=seconds,
                path="/",
                secure=https,
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
    # Browsers accept the prefix only with Secure
    return _PREFIX + name if https else name
