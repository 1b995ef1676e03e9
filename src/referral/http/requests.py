"""Stricter reading of requests than the framework's.

A JSON body must be UTF-8 (RFC 8259, section 8.1) with each key once, and without NaN, lone
surrogates and U+0000: Python's decoder accepts all of these, but parsers disagree about duplicate
keys, and no database stores the rest. Anything else is 400 `invalid_request`, whatever the route.

Header values are bytes, decoded as ISO 8859-1, and a header may occur on several lines. Where that
matters (Authorization, X-Forwarded-For), `header_values` returns every line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures.state import State
from litestar.exceptions import InternalServerException

from referral import observability
from referral.context import Actor, Caller, Context
from referral.core.address import client_address, parse_address
from referral.core.errors import InvalidRequest
from referral.http.problems import UnsupportedMediaType
from referral.service.access import Authenticated

MAX_BODY_BYTES = 64 * 1024

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396

IS_HEAD = "referral.is_head"
"""The key in the scope of a HEAD request, which is served as GET."""

User = TypeVar("User")
"""The type of `request.user`, which the guard of the route's controller sets."""


class _JsonRequest(Request[User, str, State]):
    """A request whose body is strict JSON."""

    @property
    def content_length(self) -> int | None:
        """The size of the body in bytes, if the client announced it."""
        given = header_values(self, b"content-length")
        return int(given[0]) if given and given[0].isdecimal() else None

    async def body(self) -> bytes:
        """Return the body. Raises InvalidRequest if the client disconnected before its end."""
        try:
            return await super().body()
        except InternalServerException:
            raise InvalidRequest.field("", "The body ended too early.") from None

    async def json(self) -> Any:
        """Return the parsed body. Raises UnsupportedMediaType or InvalidRequest.

        A route's `opt["media_types"]` lists the media types that it accepts; the default is only
        application/json.
        """
        if media_type(self) not in self.route_handler.opt.get("media_types", (JSON,)):
            raise UnsupportedMediaType
        return parse_json(await self.body())


class StrictRequest(_JsonRequest[Authenticated]):
    """A request, with the signed-in user at `user` if the route has the guard `signed_in`."""


class AdminRequest(_JsonRequest[Actor]):
    """A request with the acting administrator or API key at `user`.

    For the guards `administrator` and `any_api_key`.
    """


class _NulError(ValueError):
    """A string contains U+0000."""


def parse_json(body: bytes) -> Any:
    """Parse strict JSON, as described above. Raises InvalidRequest."""
    try:
        text = body.decode()
        parsed = _decoder.decode(text)
        if "\\u" in text:
            _refuse_unstorable(parsed)
    except _NulError:
        raise InvalidRequest.field("", "The body contains U+0000. Remove it.") from None
    except UnicodeError:
        raise InvalidRequest.field("", "The body is not UTF-8 text.") from None
    except (ValueError, RecursionError):
        raise InvalidRequest.field("", "The body is not valid JSON.") from None
    return parsed


def require_integers(body: Mapping[str, Any], *fields: str) -> None:
    """Require that these fields are whole numbers, null or absent. Raises InvalidRequest.

    The framework would accept "3", 3.0 and true.
    """
    for field in fields:
        if field in body and type(body[field]) not in {int, type(None)}:
            raise InvalidRequest.field(field, "Must be a whole number.")


def caller(request: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """Return the client of a request: its address, user agent and language."""
    peer = request.client.host if request.client else "unknown"
    ctx = context(request)
    trusted = ctx.trusted_proxies
    address = client_address(
        peer, header_values(request, b"x-forwarded-for"), trusted_proxies=trusted
    )
    if address is None:
        observability.too_few_proxies(trusted)
        address = parse_address(peer) or peer
    return Caller(
        address=address,
        user_agent=next(iter(header_values(request, b"user-agent")), None),
        language=ctx.languages.choose(",".join(header_values(request, b"accept-language"))).tag,
    )


def media_type(request: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the media type of the body, in lower case and without parameters; or an empty text."""
    return "".join(header_values(request, b"content-type")[:1]).partition(";")[0].strip().lower()


def header_values(request: ASGIConnection[Any, Any, Any, Any], name: bytes) -> list[str]:
    """Return the values of a header, one for each line. `name` is in lower case.

    `connection.headers` would decode every header of the request.
    """
    return [value.decode("latin-1") for each, value in request.scope["headers"] if each == name]


def context(connection: ASGIConnection[Any, Any, Any, Any]) -> Context:
    """Return the context of the application that serves the connection."""
    ctx: Context = connection.app.state.ctx
    return ctx


def _refuse_unstorable(parsed: Any) -> None:
    """Raise UnicodeEncodeError for a lone surrogate, _NulError for U+0000: JSON can escape both."""
    # Once escaped backslashes are removed, every remaining \u0000 is an escape
    dumped = json.dumps(parsed, ensure_ascii=False).replace(r"\\", "")
    dumped.encode()
    if r"\u0000" in dumped:
        raise _NulError


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        raise ValueError("duplicate key")
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
