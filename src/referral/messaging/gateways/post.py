"""POST requests to the HTTP APIs of gateways.

httpx is imported when a gateway is built, since it takes 4 MB and 30 ms.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import msgspec

from referral.messaging.gateways import Failure, GatewayError, failure_for_status

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 3
_TIMEOUT_SECONDS = 5
# Of a response body, which providers keep below 2 KB
_MAX_BODY_BYTES = 65_536
_BODY_SECONDS = 2

_Body = TypeVar("_Body")


@dataclass(frozen=True, slots=True)
class Response:
    """A response. body: empty if it was not read, could not be read in time, or is too long."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_refusal(self) -> bool:
        """Whether the status is 4xx: the request was certainly not accepted."""
        return HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR

    def parse(self, body_type: type[_Body]) -> _Body | None:
        """Parse the JSON body; None if it does not have this type."""
        try:
            return msgspec.json.decode(self.body, type=body_type)
        except (ValueError, RecursionError):
            return None

    def unreadable(self) -> GatewayError:
        """Return the error for a body that cannot be parsed.

        After a status of success it is no reported failure: the message may well arrive.
        """
        if self.is_success:
            failure = Failure.NO_ANSWER
        else:
            failure = Failure.NOT_TAKEN if self.is_refusal else Failure.UNKNOWN
        return GatewayError(f"status {self.status}, unreadable response", failure)

    def error(
        self, code: int | None, failures: Mapping[int, Failure], *, max_code: int
    ) -> GatewayError:
        """Return the error for a provider's error code; None if the body has none.

        max_code: the largest that is shown. A longer number is no code, but perhaps a phone.
        """
        if code is None:
            return self.unreadable()
        shown = f"error {code}" if 0 <= code <= max_code else f"status {self.status}"
        return GatewayError(shown, failures.get(code, failure_for_status(self.status)))


class Poster:
    """Sends POST requests, each over a new connection."""

    def __init__(self) -> None:
        import httpx  # noqa: PLC0415 - see the module's docstring

        # Created once, because creating it reads every root certificate
        self._tls = httpx.create_ssl_context()
        self._timeout = httpx.Timeout(_TIMEOUT_SECONDS, connect=CONNECT_SECONDS)

    async def post_json(self, url: str, fields: Mapping[str, object], *, token: str) -> Response:
        """Send fields as JSON with a bearer token. Otherwise as `post`."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        return await self.post(url, json.dumps(fields), headers)

    async def post(
        self, url: str, body: str, headers: Mapping[str, str], *, reads_body: bool = True
    ) -> Response:
        """Send a request and return the response. Redirects are not followed.

        Raises GatewayError if there is no response.
        """
        import httpx  # noqa: PLC0415 - see the module's docstring

        try:
            # A new connection for each message: if a kept-alive one had been closed meanwhile, it
            # would be unknown whether the message was accepted
            async with (
                httpx.AsyncClient(verify=self._tls, timeout=self._timeout) as client,
                client.stream(
                    # Not compressed, so that the limit holds for the body itself
                    "POST",
                    url,
                    content=body,
                    headers={"Accept-Encoding": "identity", **headers},
                ) as response,
            ):
                read = await _read(response) if reads_body else b""
                return Response(response.status_code, read)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise GatewayError(type(error).__name__, Failure.NOT_TAKEN, may_retry=True) from None
        except httpx.HTTPError as error:
            raise GatewayError(type(error).__name__, Failure.NO_ANSWER) from None


async def _read(response: httpx.Response) -> bytes:
    """Return the body, or b"" if it is too long or does not arrive whole and in time."""
    import httpx  # noqa: PLC0415 - see the module's docstring

    body = bytearray()
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _MAX_BODY_BYTES:
                    return b""
            return bytes(body)
    return b""
