"""An id for each request: in its answer and in every line of the log about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from secrets import token_hex

from referral.observability import log

HEADER = b"x-request-id"

_BYTES = 16

# One that a proxy gave stays, unless it is more than an id
_GOOD = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def begin(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Give the request with these headers, which begins here, its id."""
    given = next((value for name, value in headers if name == HEADER), None)
    if given is not None and _GOOD.fullmatch(given):
        request_id = given.decode()
    else:
        request_id = token_hex(_BYTES)
    log.request_id.set(request_id)
    return request_id.encode()
