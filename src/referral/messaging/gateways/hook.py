"""The hook gateway: the team's own HTTP endpoint, with requests signed by `webhooks.signature`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from urllib.parse import unquote, urlsplit, urlunsplit

from referral.messaging.gateways import GatewayError, Message, failure_for_status
from referral.messaging.gateways.post import Poster
from referral.webhooks.signature import LOOPBACK, Endpoint, Signer, is_secret

SCHEMES = ("hook+https", "hook+http")

_PREFIX = "hook+"
_SECRET = "secret="  # noqa: S105 - the name of a parameter


def check(url: str, *, production: bool) -> None:
    """Check a URL, as `registry.Check` says."""
    parts = urlsplit(parse(url).url)
    if production and parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ValueError("hook+http:// is for development and for 127.0.0.1; use hook+https://")


def parse(url: str) -> Endpoint:
    """Parse `hook+https://HOST/PATH?secret=whsec_...`.

    Raises ValueError, whose text shows nothing of the URL.
    """
    try:
        parts = urlsplit(url.removeprefix(_PREFIX))
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if not host or parts.fragment:
        raise ValueError("hook+https:// needs a host and a path, as in an https:// URL")
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


class Hook:
    echoes_code = False

    def __init__(self, endpoint: Endpoint, *, clock: Callable[[], datetime]) -> None:
        """clock(): the time, in UTC."""
        self.name = _PREFIX + urlsplit(endpoint.url).scheme
        self._url = endpoint.url
        self._signer = Signer(endpoint.secrets)
        self._clock = clock
        self._poster = Poster()

    async def send(self, message: Message) -> None:
        """POST {phone, text, code, language}. A 2xx accepts; redirects are not followed."""
        body = json.dumps(
            {
                "phone": message.phone,
                "text": message.text,
                "code": message.code,
                "language": message.language,
            },
            ensure_ascii=False,
        )
        headers = self._signer.headers(message.id, body, at=self._clock())
        response = await self._poster.post(self._url, body, headers, reads_body=False)
        if not response.is_success:
            status = response.status
            raise GatewayError(f"status {status}", failure_for_status(status))
