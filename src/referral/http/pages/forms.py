"""Submitted forms: their fields, the page they are on, and the check that the page is ours."""

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
from referral.http.requests import FORM, media_type

_MOST_FIELDS = 20
_LONGEST_PATH = 300
_BODY = "pages_form"


@dataclass(frozen=True, slots=True)
class Form:
    """The place of a form, so that a response can redirect back to it.

    page: the path of its page, with the same parameters as the form's own route. name: its name
    in the templates. fields: the names of the fields that people fill in.
    """

    page: str
    name: str
    fields: tuple[str, ...] = ()


def on(page: str, name: str, *fields: str) -> dict[str, Any]:
    """Return the `opt` of a route that receives a form. Every such route needs one."""
    return {"form": Form(page, name, fields)}


def of(request: Request[Any, Any, Any]) -> Form | None:
    """Return the form that this request submits, if any."""
    if request.method != "POST" or "route_handler" not in request.scope:
        return None
    form: Form | None = request.scope["route_handler"].opt.get("form")
    return form


def page_of(request: Request[Any, Any, Any]) -> str:
    """Return the path and query to come back to: of this page, or of the submitted form's page."""
    if form := of(request):
        return _with_query(form.page.format(**request.path_params), request)
    return _with_query("/", request) if request.method == "POST" else url_of(request)


def url_of(request: Request[Any, Any, Any]) -> str:
    """Return the path and query of a request."""
    return _with_query(request.scope["path"], request)


async def read(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Return the fields of the submitted form, stripped of surrounding whitespace.

    Raises InvalidRequest or UnsupportedMediaType.
    """
    if media_type(request) != FORM:
        raise UnsupportedMediaType
    try:
        return _parse(await request.body())
    except ValueError:
        raise InvalidRequest("This form cannot be read.") from None


def submitted(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Return the fields that `same_origin` has read, to fill them in again; none if unreadable."""
    try:
        return _parse(request.scope["state"].get(_BODY, b""))
    except ValueError:
        return {}


async def same_origin(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Refuse forms of other sites (CSRF), without a token that could expire. A guard.

    Browsers tell where a form is from: in Sec-Fetch-Site (W3C Fetch Metadata) or, over plain http,
    where that header is missing, in Origin (RFC 6454). A request with neither does not come from a
    browser and is refused.

    The body is read here and kept for `submitted`, because the guards that follow may refuse the
    form. Raises OtherSite.
    """
    if connection.scope["method"] != "POST":  # type: ignore[typeddict-item]  # only HTTP here
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
    """Return the URL of a page that redirects to `then` once it has done its work."""
    return f"{path}?next={quote(then, safe='/')}"


def local_path(text: str | None, *, longest: int = _LONGEST_PATH) -> str | None:
    """Return the text if it is a path on this site (no open redirects), otherwise None.

    longest: in characters; the default fits into a cookie.
    """
    if not text or not text.startswith("/") or text.startswith("//"):
        return None
    # Browsers treat a backslash as a slash and drop control characters
    is_plain = text.isascii() and text.isprintable() and not set(text) & set('\\ "<>')
    return text if is_plain and len(text) <= longest else None


def _with_query(path: str, request: Request[Any, Any, Any]) -> str:
    query = request.scope["query_string"].decode("ascii", "replace")
    return f"{path}?{query}" if query else path


def _parse(body: bytes) -> dict[str, str]:
    """Parse the fields of a form's body. Raises ValueError."""
    pairs = parse_qsl(
        body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
    )
    return {name: text.strip() for name, text in pairs}
