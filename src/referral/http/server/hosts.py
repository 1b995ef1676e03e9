"""The Host header, which must be well-formed (RFC 9112, section 3.2)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from litestar import Request

from referral.core.errors import InvalidRequest

# No brackets, and a port that cannot be out of range: such a value need not be parsed
_PLAIN = re.compile(rb"[^][:]*(?::[0-9]{1,4})?")


def check(request: Request[Any, Any, Any]) -> None:
    """Raise InvalidRequest if the Host header cannot be parsed.

    The framework checks only its characters. When it reports invalid fields, it parses the header,
    and would respond to `Host: 1:1:1` with a 500.
    """
    for name, value in request.scope["headers"]:
        if name == b"host" and not _is_valid(value):
            raise InvalidRequest.field(
                "Host", "Send a host name or an address, with or without a port."
            )


def _is_valid(host: bytes) -> bool:
    if _PLAIN.fullmatch(host):
        return True
    try:
        _ = urlsplit(f"//{host.decode('latin-1')}").port
    except ValueError:
        return False
    return True
