"""The team's own receiver of events."""

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

from referral.webhooks import delivery
from referral.webhooks.delivery import Failure
from referral.webhooks.signature import Endpoint, Signer

_MOST_READ = 16_384  # bytes of an answer, of which nothing is wanted
_READ_SECONDS = 1
_CONNECT_SECONDS = 5
_MAY_ASK_TO_WAIT = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_SECONDS = re.compile(r"[0-9]{1,9}")


def check(url: str) -> None:
    """Raises ValueError if nothing can be sent to this URL."""
    try:
        httpx.Request("POST", url)
    except (httpx.InvalidURL, UnicodeError):
        raise ValueError("a URL whose host can be looked up") from None


class Receiver:
    """One pool of connections, open while it is entered."""

    def __init__(self, endpoint: Endpoint, *, clock: Callable[[], datetime], at_once: int) -> None:
        """clock(): the time, in UTC. at_once: how many connections at most."""
        self._url = endpoint.url
        self._signer = Signer(endpoint.secrets)
        self._clock = clock
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(
                max_connections=at_once, max_keepalive_connections=at_once, keepalive_expiry=2
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

    async def post(self, message_id: str, body: str) -> Failure | None:
        """Tell it an event, signed anew. None: acknowledged, by a 2xx in time."""
        headers = self._signer.headers(message_id, body, at=self._clock())
        try:
            async with asyncio.timeout(delivery.TIMEOUT_SECONDS):
                status, retry_after = await self._answer(body, headers)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Failure(type(error).__name__, no_connection=True)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, it was not acknowledged
            return Failure(type(error).__name__)
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return None
        return Failure(
            f"status {status}",
            gone=status == HTTPStatus.GONE,
            retry_after=_wait(retry_after, now=self._clock())
            if status in _MAY_ASK_TO_WAIT
            else timedelta(),
        )

    async def _answer(self, body: str, headers: dict[str, str]) -> tuple[int, str]:
        """Status and Retry-After."""
        async with self._client.stream(
            "POST", self._url, content=body, headers=headers
        ) as response:
            # To its end, where that is near: then the connection is good for the next one
            with suppress(httpx.HTTPError, TimeoutError):
                async with asyncio.timeout(_READ_SECONDS):
                    await _read_a_little(response)
            return response.status_code, response.headers.get("retry-after", "")


def _wait(text: str, *, now: datetime) -> timedelta:
    """A Retry-After, in seconds or as a date (RFC 9110, section 10.2.3); none if it is neither."""
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=int(text))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return timedelta()
    return max(timedelta(), (at if at.tzinfo else at.replace(tzinfo=UTC)) - now)


async def _read_a_little(response: httpx.Response) -> None:
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        if read > _MOST_READ:
            return
