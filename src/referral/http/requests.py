"""Reading a request more strictly than the framework does."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures.state import State
from litestar.exceptions import InternalServerException

from referral import i18n, observability
from referral.context import Actor, Caller, Context
from referral.core.address import canonical, client_address
from referral.core.errors import InvalidRequest
from referral.http.problems import UnsupportedMediaType
from referral.service.access import Authenticated

LARGEST_BODY = 64 * 1024

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396


Who = TypeVar("Who")


class _Strict(Request[Who, str, State]):
    """A request whose body is JSON in the strictest sense (RFC 8259), or an error.

    Who: what the guard of its controller leaves at `user`.
    """

    @property
    def content_length(self) -> int | None:
        """Bytes, where the client told."""
        given = lines(self, b"content-length")
        return int(given[0]) if given and given[0].isdecimal() else None

    async def body(self) -> bytes:
        """The body. Raises InvalidRequest where the client went away before its end."""
        try:
            return await super().body()
        except InternalServerException:
            raise InvalidRequest.field("", "The body ended too early.") from None

    async def json(self) -> Any:
        """The body. Raises UnsupportedMediaType, InvalidRequest.

        A route's `opt["media_types"]` names what it takes where that is not application/json alone.
        """
        media_type = "".join(lines(self, b"content-type")[:1]).partition(";")[0].strip().lower()
        if media_type not in self.route_handler.opt.get("media_types", (JSON,)):
            raise UnsupportedMediaType
        return parse_json(await self.body())


class StrictRequest(_Strict[Authenticated]):
    """A request of a signed-in user, where a guard asked for one."""


class AdminRequest(_Strict[Actor]):
    """A request of an administrator or of an API key."""


class _NulError(ValueError):
    """A U+0000 in a text."""


def parse_json(body: bytes) -> Any:
    """JSON in UTF-8, each key once, no NaN, no lone surrogates, no U+0000.

    Raises InvalidRequest.
    """
    try:
        text = body.decode()
        parsed = _decoder.decode(text)
        if "\\u" in text:
            _refuse_unstorable(parsed)
    except _NulError:
        raise InvalidRequest.field("", "The body has U+0000 in it. Take it out.") from None
    except UnicodeError:
        raise InvalidRequest.field("", "The body is not UTF-8 text.") from None
    except (ValueError, RecursionError):
        raise InvalidRequest.field("", "The body is not valid JSON.") from None
    return parsed


def caller(request: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """Who the request comes from, as far as the connection tells."""
    peer = request.client.host if request.client else "unknown"
    trusted = context(request).trusted_proxies
    address = client_address(peer, lines(request, b"x-forwarded-for"), trusted_proxies=trusted)
    if address is None:
        observability.too_few_proxies(trusted)
        address = canonical(peer) or peer
    return Caller(
        address=address,
        user_agent=next(iter(lines(request, b"user-agent")), None),
        language=i18n.choose(",".join(lines(request, b"accept-language"))),
    )


def lines(request: ASGIConnection[Any, Any, Any, Any], name: bytes) -> list[str]:
    """The values of one header, each line's. The framework's own way decodes all headers."""
    return [value.decode("latin-1") for each, value in request.scope["headers"] if each == name]


def context(connection: ASGIConnection[Any, Any, Any, Any]) -> Context:
    """Return the context of the application that serves the connection."""
    ctx: Context = connection.app.state.ctx
    return ctx


def _refuse_unstorable(parsed: Any) -> None:
    """Half a surrogate pair, or U+0000: JSON can escape them, and no database takes both."""
    # Without its escaped backslashes, what looks like an escape is one
    written = json.dumps(parsed, ensure_ascii=False).replace(r"\\", "")
    written.encode()
    if r"\u0000" in written:
        raise _NulError


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        raise ValueError("a key twice")
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
