"""Redirect URIs: which ones may be registered, and whether a request names a registered one.

Three kinds (RFC 8252, section 7; RFC 9700, section 4.1): https; http to this machine, for apps on
a computer; and a private scheme, for apps on a phone. A URI is compared byte for byte. Only the
port of the two loopback addresses is free, because an app listens where it can (RFC 8252, 7.3).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from referral.core.errors import InvalidRequest

MAX_LENGTH = 1000  # characters

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
# The characters of a URI (RFC 3986, section 2), without those that only lead to confusion here
_URI = re.compile(r"[A-Za-z0-9\-._~:/?\[\]!$&'()*+,;=%]+")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# With a dot, and a path that begins with a slash
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:/")
_HOST = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::([0-9]{1,5}))?(?=[/?]|\Z)")
_MAX_PORT = 65_535


def parse(text: str, field: str = "redirect_uri") -> str:
    """Return a URI that may be registered. Raises InvalidRequest for the field."""
    checks = _WEB_CHECKS if text.startswith(("https:", "http:")) else _PRIVATE_CHECKS
    for is_wrong, message in (*_CHECKS, *checks):
        if is_wrong(text):
            raise InvalidRequest.field(field, message)
    return text


def is_registered(uri: str, registered: Iterable[str]) -> bool:
    """Return whether a URI of a request is one of the registered ones."""
    without_port = _without_port(uri)
    return any(
        uri == each or (without_port is not None and without_port == _without_port(each))
        for each in registered
    )


def is_https(uri: str) -> bool:
    """Return whether a URI is https: then only the owner of its domain receives the code."""
    return uri.startswith("https://")


def origin(uri: str) -> str | None:
    """Return the origin as browsers write it (RFC 6454, section 6.1); None for a private scheme."""
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"}:
        return None
    default = {"http": 80, "https": 443}[parts.scheme]
    host = parts.netloc.removesuffix(f":{default}")
    return f"{parts.scheme}://{host}"


def with_parameters(uri: str, encoded: str) -> str:
    """Add parameters to the URI's own query. encoded: as application/x-www-form-urlencoded."""
    if "?" not in uri:
        return f"{uri}?{encoded}"
    return f"{uri}{encoded}" if uri.endswith(("?", "&")) else f"{uri}&{encoded}"


def _host_and_port(uri: str) -> tuple[str, int | None] | None:
    """Return the host as it is written, and the port; None if either is not valid."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    host = parts.netloc if port is None else parts.netloc.removesuffix(f":{port}")
    return (host, port) if port != 0 and (host in _LOCAL_HOSTS or _HOST.fullmatch(host)) else None


def _is_http_elsewhere(uri: str) -> bool:
    found = _host_and_port(uri)
    return uri.startswith("http:") and (found is None or found[0] not in _LOCAL_HOSTS)


def _has_dot_segments(uri: str) -> bool:
    path = urlsplit(uri).path.lower().replace("%2e", ".")
    return any(segment in {".", ".."} for segment in path.split("/"))


_Check = tuple[Callable[[str], object], str]
"""A function that finds a fault in a URI, and the text that says how to mend it."""

_CHECKS: tuple[_Check, ...] = (
    (lambda uri: not 0 < len(uri) <= MAX_LENGTH, f"Give 1 to {MAX_LENGTH} characters."),
    (lambda uri: "#" in uri, "Leave out the fragment (#...)."),
    (lambda uri: set(uri) & {"@", "\\"}, "Leave out user information, @ and backslashes."),
    (
        lambda uri: not _URI.fullmatch(uri) or _BAD_PERCENT.search(uri),
        "This is not a URI: percent-encode special characters.",
    ),
)
_WEB_CHECKS: tuple[_Check, ...] = (
    (
        lambda uri: "://" not in uri or _host_and_port(uri) is None,
        "Write the host in lower case, as a domain or an address, and a port from 1 to 65535.",
    ),
    (_is_http_elsewhere, "Use https: plain http is only for localhost, 127.0.0.1 and [::1]."),
    (_has_dot_segments, "Write the path without the segments . and .. in it."),
)
_PRIVATE_CHECKS: tuple[_Check, ...] = (
    (
        lambda uri: not _PRIVATE_SCHEME.match(uri),
        (
            "Give an https URI, or a private scheme: a domain of yours in reverse, in lower case, "
            "such as com.example.app:/callback (RFC 8252, section 7.1)."
        ),
    ),
)


def _without_port(uri: str) -> str | None:
    """Return a loopback URI without its port; None for any other."""
    match = _LOOPBACK.match(uri)
    if match is None or (match[2] and not 0 < int(match[2]) <= _MAX_PORT):
        return None
    return match[1] + uri[match.end() :]
