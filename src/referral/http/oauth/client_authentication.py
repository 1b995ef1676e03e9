"""Authentication of clients (RFC 6749, section 2.3.1)."""

from __future__ import annotations

from base64 import b64decode
from typing import Any
from urllib.parse import unquote_plus

from litestar import Request

from referral.http.requests import header_values
from referral.openid import clients
from referral.openid.errors import InvalidClient, InvalidRequest
from referral.openid.parameters import Parameters
from referral.storage.models import Client


async def authenticate(request: Request[Any, Any, Any], parameters: Parameters) -> Client:
    """Return the client of a request. Raises InvalidClient, InvalidRequest."""
    client_id, secret = _credentials(request, parameters)
    return await clients.authenticate(client_id, secret)


def _credentials(request: Request[Any, Any, Any], parameters: Parameters) -> tuple[str, str | None]:
    """Return the client id and the secret, from the header or the form."""
    headers = header_values(request, b"authorization")
    client_id, secret = parameters.get("client_id"), parameters.get("client_secret")
    if not headers:
        if client_id is None:
            raise InvalidClient("Send the client's id and secret, by HTTP Basic or in the form.")
        return client_id, secret
    if len(headers) != 1:
        raise InvalidRequest("Send one Authorization header.")
    if secret is not None:
        raise InvalidRequest("Send the client secret by HTTP Basic or in the form, not by both.")
    basic_id, basic_secret = _basic(headers[0])
    if client_id not in {None, basic_id}:
        raise InvalidRequest(
            "Send the same client_id in the form as by HTTP Basic, or only one of them."
        )
    return basic_id, basic_secret


def _basic(header: str) -> tuple[str, str]:
    """Parse an Authorization header of HTTP Basic. Raises InvalidClient."""
    scheme, _, encoded = header.partition(" ")
    try:
        text = b64decode(encoded.strip(), validate=True).decode("ascii")
    except ValueError:
        text = ""
    # Both are form-encoded first (RFC 6749, section 2.3.1): some libraries encode even - and _
    client_id, colon, secret = map(unquote_plus, text.partition(":"))
    if scheme.lower() != "basic" or not colon:
        raise InvalidClient(
            "Send an Authorization header of HTTP Basic: the id, a colon and the secret, in base64."
        )
    return client_id, secret
