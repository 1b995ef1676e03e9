"""An id for each request: in its answer and in every line of the log about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

HEADER = b"x-request-id"

# One that a proxy gave stays, unless it is more than an id
_GOOD = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def begin(scope: Mapping[str, Any]) -> None:
    """Give the request that begins here its id."""
    given = next((value for name, value in scope["headers"] if name == HEADER), b"")
    request_id = given.decode() if _GOOD.fullmatch(given) else uuid4().hex
    clear_contextvars()
    bind_contextvars(request_id=request_id)


def current() -> str:
    """The id of the request under way."""
    request_id: str = get_contextvars().get("request_id", "")
    return request_id
