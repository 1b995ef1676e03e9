"""Headers of every request and response: the id of the request, and what all responses have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from secrets import token_hex

from referral.observability import log

REQUEST_ID = b"x-request-id"

_YEAR = 31_536_000  # seconds
_ID_BYTES = 16
_VALID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def assign_request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the id of a request, and add it to the events logged from here on.

    headers: the request's. A valid id in them, such as one from a proxy, is kept.
    """
    given = next((value for name, value in headers if name == REQUEST_ID), None)
    if given is not None and _VALID.fullmatch(given):
        request_id = given.decode()
    else:
        request_id = token_hex(_ID_BYTES)
    log.request_id.set(request_id)
    return request_id.encode()


def common_headers(*, https: bool) -> list[tuple[bytes, bytes]]:
    """Return the headers that every response has.

    https: whether clients reach the service only by https, as in production.
    """
    headers = [(b"x-content-type-options", b"nosniff")]
    if https:
        # RFC 6797
        headers.append((b"strict-transport-security", f"max-age={_YEAR}".encode()))
    return headers
