"""The team's own sender: an HTTP endpoint that gets the message, signed as Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx

from referral.messaging.gateways import Failure, GatewayError, Message, failure_of
from referral.webhooks.signature import Endpoint, Signer

_PREFIX = "hook+"
_TIMEOUT = httpx.Timeout(5, connect=3)


class Hook:
    echoes_code = False

    def __init__(self, endpoint: Endpoint, *, clock: Callable[[], datetime]) -> None:
        """clock(): the time, in UTC."""
        self.name = _PREFIX + urlsplit(endpoint.url).scheme
        self._url = endpoint.url
        self._signer = Signer(endpoint.secrets)
        self._clock = clock
        # Once, because it reads every root certificate
        self._tls = httpx.create_ssl_context()

    async def send(self, message: Message) -> None:
        """POST {phone, text, code, language}. 2xx is success; no redirect is followed."""
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
        try:
            # A connection of its own: one that was kept may have ended, and then nobody knows
            # whether the message went
            async with (
                httpx.AsyncClient(verify=self._tls, timeout=_TIMEOUT) as client,
                client.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                status = response.status_code
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise GatewayError(type(error).__name__, Failure.NOT_TAKEN, may_repeat=True) from None
        except httpx.HTTPError as error:
            raise GatewayError(type(error).__name__, Failure.NO_ANSWER) from None
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise GatewayError(f"status {status}", failure_of(status))
