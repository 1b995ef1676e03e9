"""An id for each request, in its response and in every log line about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from secrets import token_hex

from referral.observability import log

HEADER = b"x-request-id"

_BYTES = 16
_VALID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def assign(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the id of a request, and add it to the events logged from here on.

    headers: the request's. A valid id in them, such as one from a proxy, is kept.
    """
    given = next((value for name, value in headers if name == HEADER), None)
    if given is not None and _VALID.fullmatch(given):
        request_id = given.decode()
    else:
        request_id = token_hex(_BYTES)
    log.request_id.set(request_id)
    return request_id.encode()
