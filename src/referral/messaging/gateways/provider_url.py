"""Read the URL of a provider: scheme://CREDENTIALS?parameters.

urlsplit is not used, since it turns the host into lower case, and a token may stand in its place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import unquote

from referral.webhooks.signature import LOOPBACK

# An origin: a scheme, a host and a port
_ORIGIN = re.compile(r"https?://(?P<host>[a-z0-9.]+|\[[0-9a-f:]+\])(?::(?P<port>[0-9]{1,5}))?")
_MAX_PORT = 65_535
# Visible ASCII, so that it fits in a header
_SECRET = re.compile(r"[!-~]{8,512}")


def split(url: str, *, parameters: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the raw text between `://` and `?`, and the decoded parameters.

    Raises ValueError if there are others than these parameters, or one appears twice.
    """
    text, _, query = url.partition("://")[2].partition("?")
    found: dict[str, str] = {}
    for item in query.split("&") if query else ():
        name, _, value = item.partition("=")
        if name not in parameters or name in found:
            raise ValueError(f"may have only these parameters, each once: {', '.join(parameters)}")
        found[name] = unquote(value)
    return text, found


def secret(text: str) -> str | None:
    """Return a decoded token or other secret, or None if it cannot be one."""
    decoded = unquote(text)
    return decoded if _SECRET.fullmatch(decoded) else None


def origin(parameters: Mapping[str, str], default: str) -> str:
    """Return the origin of the API: that of the parameter `api`, for tests and trials, or this.

    Raises ValueError unless `api` is on this machine, since it gets the credentials and codes.
    """
    found = parameters.get("api")
    if found is None:
        return default
    match = _ORIGIN.fullmatch(found)
    if (
        match is None
        or match["host"].strip("[]") not in LOOPBACK
        or int(match["port"] or 0) > _MAX_PORT
    ):
        raise ValueError("may have api= only with a server of this machine: http://127.0.0.1:PORT")
    return found
