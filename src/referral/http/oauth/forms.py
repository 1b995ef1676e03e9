"""Parse the parameters of an HTTP request: the query of a GET, or the form of a POST."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from litestar import Request

from referral.http.requests import FORM, media_type
from referral.openid.errors import InvalidRequest
from referral.openid.parameters import Parameters

_MAX_PARAMETERS = 100


def query(request: Request[Any, Any, Any]) -> Parameters:
    """Return the parameters of the query. Raises InvalidRequest."""
    return _parse(request.scope["query_string"])


async def body(request: Request[Any, Any, Any]) -> Parameters:
    """Return the parameters of the form. Raises InvalidRequest."""
    if media_type(request) != FORM:
        raise InvalidRequest(f"Send a form, with Content-Type: {FORM}.")
    return _parse(await request.body())


def _parse(encoded: bytes) -> Parameters:
    try:
        pairs = parse_qsl(
            encoded.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        raise InvalidRequest(
            "Percent-encode the parameters as UTF-8, and send at most 100 of them."
        ) from None
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise InvalidRequest("A parameter contains U+0000. Remove it.")
    return Parameters(pairs)
