"""An id for each request: in its answer and in every line of the log about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from secrets import token_hex
from typing import Any

from referral.service import outcomes

HEADER = b"x-request-id"

_BYTES = 16

# One that a proxy gave stays, unless it is more than an id
_GOOD = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def begin(scope: Mapping[str, Any]) -> bytes:
    """Give the request that begins here its id."""
    request_id = choose(scope["headers"])
    outcomes.request_id.set(request_id.decode())
    return request_id


def choose(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The id of a request with these headers."""
    given = next((value for name, value in headers if name == HEADER), None)
    if given is not None and _GOOD.fullmatch(given):
        return given
    return token_hex(_BYTES).encode()
