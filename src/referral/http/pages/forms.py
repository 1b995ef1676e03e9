"""Forms: what was typed, that it was typed here, and on which page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
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
_BODY = "pages_form"


@dataclass(frozen=True, slots=True)
class Form:
    """Where a form stands, for answers that lead back to it.

    page: the path, with the parameters of the form's own. name: as its page has it.
    fields: those that people fill in.
    """

    page: str
    name: str
    fields: tuple[str, ...] = ()


def on(page: str, name: str, *fields: str) -> dict[str, Any]:
    """For the `opt` of the route that takes a form. Every one says where its form stands."""
    return {"form": Form(page, name, fields)}


def of(request: Request[Any, Any, Any]) -> Form | None:
    """Where the form stands that was sent, if this is one."""
    if request.method != "POST" or "route_handler" not in request.scope:
        return None
    form: Form | None = request.scope["route_handler"].opt.get("form")
    return form


def page_of(request: Request[Any, Any, Any]) -> str:
    """The address to come back to: of this page, or of the one where the form stands."""
    path, query = request.scope["path"], request.scope["query_string"].decode("ascii", "replace")
    if form := of(request):
        path = form.page.format(**request.path_params)
    elif request.method == "POST":
        path = "/"
    return path + (f"?{query}" if query else "")


async def read(request: Request[Any, Any, Any]) -> dict[str, str]:
    """What was typed into a form's fields, without spaces around it.

    Raises InvalidRequest, UnsupportedMediaType.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _URL_ENCODED:
        raise UnsupportedMediaType
    try:
        return _parse(await request.body())
    except ValueError:
        raise InvalidRequest("This form cannot be read.") from None


def typed(request: Request[Any, Any, Any]) -> dict[str, str]:
    """What was typed, for an answer that gives it back: nothing if it cannot be read."""
    try:
        return _parse(request.scope["state"].get(_BODY, b""))
    except ValueError:
        return {}


async def from_our_own_pages(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """A guard against forms of other sites (CSRF), without a token that could grow too old.

    It leaves what was typed for `typed`, since the guards that follow may refuse the form.

    Browsers say with every form where it stands: in Sec-Fetch-Site (W3C Fetch Metadata), and
    over plain http, which does not have it, in Origin (RFC 6454). What says neither is no browser.
    """
    if connection.scope["method"] != "POST":  # type: ignore[typeddict-item]  # HTTP alone here
        return
    headers = connection.headers
    if (fetch_site := headers.get("sec-fetch-site")) is not None:
        is_own = fetch_site == "same-origin"
    else:
        origin, host = headers.get("origin"), headers.get("host")
        is_own = origin in {
            site.of(connection.app.state).public_url,
            f"http://{host}",
            f"https://{host}",
        }
    if not is_own:
        raise OtherSite(reason="a form of another site")
    connection.scope["state"][_BODY] = await cast("Request[Any, Any, Any]", connection).body()


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


def _parse(body: bytes) -> dict[str, str]:
    """Raises ValueError."""
    pairs = parse_qsl(
        body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
    )
    return {name: text.strip() for name, text in pairs}
