"""Forms: what was typed, and that it was typed here."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from referral.core.errors import InvalidRequest
from referral.http.pages import site
from referral.http.problems import OtherSite, UnsupportedMediaType

_URL_ENCODED = "application/x-www-form-urlencoded"
_MOST_FIELDS = 20
_LONGEST_PATH = 300


async def read(request: Request[Any, Any, Any]) -> dict[str, str]:
    """What was typed into a form's fields, without spaces around it.

    Raises InvalidRequest, UnsupportedMediaType.
    """
    if request.content_type[0].lower() != _URL_ENCODED:
        raise UnsupportedMediaType
    try:
        pairs = parse_qsl(
            (await request.body()).decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise InvalidRequest("This form cannot be read.") from None
    return {name: text.strip() for name, text in pairs}


def from_our_own_pages(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """A guard against forms of other sites (CSRF), without a token that could grow too old.

    Browsers say with every form where it stands: in Sec-Fetch-Site (W3C Fetch Metadata), and
    over plain http, which does not have it, in Origin (RFC 6454). What says neither is no browser.
    """
    if connection.scope["method"] != "POST":  # type: ignore[typeddict-item]  # HTTP alone here
        return
    headers = connection.headers
    if (fetch_site := headers.get("sec-fetch-site")) is not None:
        if fetch_site == "same-origin":
            return
    elif origin := headers.get("origin"):
        own = {site.of(connection.app.state).public_url, f"http://{headers.get('host')}"}
        if origin in own or origin == f"https://{headers.get('host')}":
            return
    raise OtherSite(reason="a form of another site")


def digits(text: str) -> str:
    """A code as it was typed, without the spaces that people put between its digits."""
    return "".join(text.split())


def with_next(path: str, then: str) -> str:
    """A page of ours that leads on to another."""
    return f"{path}?next={quote(then, safe='/')}"


def local_path(text: str | None) -> str | None:
    """Where to go next, if that is on this site."""
    if not text or not text.startswith("/") or text.startswith("//"):
        return None
    # Browsers read a backslash as a slash, and drop control characters
    is_plain = text.isascii() and text.isprintable() and not set(text) & set('\\ "<>')
    return text if is_plain and len(text) <= _LONGEST_PATH else None
