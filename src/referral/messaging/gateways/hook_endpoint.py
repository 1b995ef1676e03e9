"""The URL of the team's own sender. Apart from hook.py, which imports httpx to send there."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

from referral.webhooks.signature import LOOPBACK, Endpoint, is_secret

SCHEMES = ("hook+https", "hook+http")

_PREFIX = "hook+"
_SECRET = "secret="  # noqa: S105 - a parameter's name


def parse(text: str, *, production: bool) -> Endpoint:
    """From `hook+https://HOST/PATH?secret=whsec_...`.

    Raises ValueError, whose text repeats nothing of the URL.
    """
    try:
        parts = urlsplit(text.removeprefix(_PREFIX))
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if not host or parts.fragment:
        raise ValueError("hook+https:// goes on as https:// does, with host and path")
    if production and parts.scheme != "https" and host not in LOOPBACK:
        raise ValueError("hook+http:// is for development and for 127.0.0.1; use hook+https://")
    items = parts.query.split("&") if parts.query else []
    secrets = tuple(
        unquote(item.removeprefix(_SECRET)) for item in items if item.startswith(_SECRET)
    )
    if not secrets or not all(is_secret(secret) for secret in secrets):
        raise ValueError(
            "hook+https:// needs ?secret=whsec_ and the base64 of at least 24 random bytes, to "
            "sign with: `echo whsec_$(openssl rand -base64 32)`"
        )
    query = "&".join(item for item in items if not item.startswith(_SECRET))
    return Endpoint(urlunsplit(parts._replace(query=query)), secrets)
