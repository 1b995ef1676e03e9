"""Read the URL of a provider: scheme://CREDENTIALS?parameters.

urlsplit is not used, since it turns the host into lower case, and a token may stand in its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from referral.webhooks.signature import LOOPBACK

# An origin: a scheme, a host and a port
_ORIGIN = re.compile(r"https?://(?P<host>[a-z0-9.]+|\[[0-9a-f:]+\])(?::(?P<port>[0-9]{1,5}))?")
_MAX_PORT = 65_535
# Visible ASCII, so that it fits in a header
_SECRET = re.compile(r"[!-~]{8,512}")
SECRETS = (
    "a token or secret has at least 8 characters; in it, write / as %2F, : as %3A, @ as %40, "
    "# as %23"
)
"""How to write secrets, for errors."""


class ProviderUrl(NamedTuple):
    """A URL that was split. text: that between `://` and `?`, not decoded. api: an origin."""

    text: str
    parameters: Mapping[str, str]
    api: str


def split(url: str, *, scheme: str, api: str, parameters: tuple[str, ...] = ()) -> ProviderUrl:
    """Split the URL of a provider. If its scheme is another one, the text is empty.

    api: the origin of its API, unless the parameter `api` says another one, for tests and trials.

    Raises ValueError if there are other parameters than these and `api`, if one appears twice, or
    if `api` is not on this machine.
    """
    text, _, query = url.partition("://")[2].partition("?")
    if not url.startswith(f"{scheme}://"):
        text = query = ""
    allowed = (*parameters, "api")
    found: dict[str, str] = {}
    for item in query.split("&") if query else ():
        name, _, value = item.partition("=")
        if name not in allowed or name in found:
            raise ValueError(
                f"{scheme}:// may have only these parameters, each once: {', '.join(allowed)}; "
                "in a token, write ? as %3F"
            )
        found[name] = unquote(value)
    if "api" in found and not _is_local(found["api"]):
        raise ValueError(
            f"{scheme}:// may have api= only with a server of this machine: "
            f"http://127.0.0.1:PORT, with a port from 1 to {_MAX_PORT}"
        )
    return ProviderUrl(text, found, found.get("api", api))


def secret(text: str) -> str | None:
    """Return a decoded token or other secret, or None if it cannot be one."""
    decoded = unquote(text)
    return decoded if _SECRET.fullmatch(decoded) else None


def _is_local(origin: str) -> bool:
    """Return whether an origin is on this machine: it gets the credentials and codes."""
    match = _ORIGIN.fullmatch(origin)
    return (
        match is not None
        and match["host"].strip("[]") in LOOPBACK
        and 0 < int(match["port"] or 1) <= _MAX_PORT
    )
