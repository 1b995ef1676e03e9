"""The HTTP client that posts events to the webhook endpoint."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self

import httpx

from referral.webhooks import retry
from referral.webhooks.retry import DeliveryFailure
from referral.webhooks.signature import Endpoint, Signer

# Of a response, whose body is read and ignored
_MAX_BODY_BYTES = 16_384
_READ_SECONDS = 1
_CONNECT_SECONDS = 5
_RETRY_AFTER_STATUSES = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_SECONDS = re.compile(r"[0-9]{1,9}")


def check(url: str) -> None:
    """Raise ValueError if httpx cannot send to this URL."""
    try:
        httpx.Request("POST", url)
    except (httpx.InvalidURL, UnicodeError):
        raise ValueError("must be a URL whose host can be looked up") from None


class EndpointClient:
    """A pool of connections to the endpoint, open inside `async with`."""

    def __init__(
        self, endpoint: Endpoint, *, clock: Callable[[], datetime], max_connections: int
    ) -> None:
        """clock(): the time, in UTC."""
        self._url = endpoint.url
        self._signer = Signer(endpoint.secrets)
        self._clock = clock
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(
                max_connections=max_connections,
                max_keepalive_connections=max_connections,
                keepalive_expiry=2,
            ),
            follow_redirects=False,
            headers={"User-Agent": "referral"},
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, traceback)

    async def post(self, message_id: str, body: str) -> DeliveryFailure | None:
        """Post an event, signed for now. Return None if a 2xx acknowledged it in time."""
        headers = self._signer.headers(message_id, body, at=self._clock())
        try:
            async with asyncio.timeout(retry.TIMEOUT_SECONDS):
                status, retry_after = await self._request(body, headers)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return DeliveryFailure(type(error).__name__, no_connection=True)
        except Exception as error:  # noqa: BLE001 - after any error the event is not acknowledged
            return DeliveryFailure(type(error).__name__)
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return None
        return DeliveryFailure(
            f"status {status}",
            gone=status == HTTPStatus.GONE,
            retry_after=_parse_retry_after(retry_after, now=self._clock())
            if status in _RETRY_AFTER_STATUSES
            else timedelta(),
        )

    async def _request(self, body: str, headers: dict[str, str]) -> tuple[int, str]:
        """Return the status and the Retry-After header, or ""."""
        async with self._client.stream(
            "POST", self._url, content=body, headers=headers
        ) as response:
            # A connection can be used again only once the body has been read
            with suppress(httpx.HTTPError, TimeoutError):
                async with asyncio.timeout(_READ_SECONDS):
                    await _drain(response)
            return response.status_code, response.headers.get("retry-after", "")


def _parse_retry_after(text: str, *, now: datetime) -> timedelta:
    """Parse seconds or a date (RFC 9110, section 10.2.3); zero if it is neither."""
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=int(text))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return timedelta()
    return max(timedelta(), (at if at.tzinfo else at.replace(tzinfo=UTC)) - now)


async def _drain(response: httpx.Response) -> None:
    """Read the body, up to _MAX_BODY_BYTES."""
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        if read > _MAX_BODY_BYTES:
            return
