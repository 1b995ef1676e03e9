"""The outermost layer of the application: every request that reaches it passes here, in one step.

Each request gets an id, a slot of the concurrency limiter, and is counted in the metrics; each
response gets the common headers. HEAD is served as GET without the body (RFC 9110, section 9.3.2).
One class does all of this: as middleware and hooks of the framework, it took 45 of the 220
microseconds of a request for a profile.

A slot stands for work on this process's core, so a request holds one only while it runs here. The
slot is released while the client sends its body or reads the response; otherwise a hundred slow
clients would hold all slots. `protocol.py` acquires the slot earlier if it can, and sets
`slot_acquired` in the scope's state; the slot is released here in either case.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from time import monotonic
from typing import Any

from litestar import Litestar

from referral import observability
from referral.core.concurrency import ConcurrencyLimiter, Suspended
from referral.http import problems
from referral.http.requests import IS_HEAD
from referral.http.server import cors, metrics
from referral.http.server.cors import Cors, Header
from referral.http.server.headers import REQUEST_ID, assign_request_id
from referral.storage import database

_EXEMPT_PATHS = frozenset({"/health/live", "/health/ready", metrics.PATH})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_read(method: str) -> bool:
    return method in _READS


def is_exempt(path: str) -> bool:
    """Return whether a path is never limited.

    A platform that gets 503 from a health check would stop a process that still serves people.
    """
    return path in _EXEMPT_PATHS


class Application(Litestar):
    """The framework's application with what every request and response needs."""

    limiter: ConcurrencyLimiter
    cors: Cors
    headers: Iterable[Header] = ()
    """Sent with every response."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            # uvicorn gives the lifespan's state to protocol.py, which finds the application in it
            scope.get("state", {})["application"] = self
            await super().__call__(scope, receive, send)
        elif scope["method"] != "OPTIONS" or not await self._handle_preflight(scope, send):
            await self._handle(scope, receive, send)

    async def _handle(self, scope: Any, receive: Any, send: Any) -> None:
        begun = monotonic()
        method = scope["method"]
        of_client = await self._is_of_client(scope)
        headers = [
            *self.headers,
            *self.cors.headers(scope["path"], scope["headers"], of_client=of_client),
        ]
        request_id = assign_request_id(scope["headers"])
        status = 0
        sending: AbstractContextManager[None] = nullcontext()

        async def respond(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (REQUEST_ID, request_id),
                    *headers,
                ]
            elif method == "HEAD":
                message["body"] = b""
            with sending:
                await send(message)

        if method == "HEAD":
            scope = {**scope, "method": "GET", IS_HEAD: True}
        slot_acquired = scope.get("state", {}).pop("slot_acquired", False)
        if is_exempt(scope["path"]):
            # It must not hold a slot either: /health/ready waits for a database that hangs
            if slot_acquired:
                self.limiter.release()
            await super().__call__(scope, receive, respond)
        elif slot_acquired or self.limiter.acquire(is_read=is_read(method), now=begun):
            sending = suspended = self.limiter.suspended()
            try:
                await super().__call__(scope, _suspended_while(receive, suspended), respond)
            finally:
                self.limiter.release()
        else:
            head, body = self.overloaded(scope["path"], scope["headers"], request_id, now=begun)
            await send({"type": "http.response.start", "status": 503, "headers": head})
            await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
        metrics.observe(scope, status, monotonic() - begun)

    async def _handle_preflight(self, scope: Any, send: Any) -> bool:
        """Respond to a CORS preflight that is allowed; return False for any other request.

        It needs no slot: a page could not read a 503, and refusing costs more than responding.
        """
        of_client = await self._is_of_client(scope)
        preflight = self.cors.preflight(scope["path"], scope["headers"], of_client=of_client)
        if preflight is None:
            return False
        if scope.get("state", {}).pop("slot_acquired", False):
            self.limiter.release()
        id_header = (REQUEST_ID, assign_request_id(scope["headers"]))
        headers = [*preflight, id_header, *self.headers]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return True

    async def _is_of_client(self, scope: Any) -> bool:
        """Return whether a page of a single-page app that is a client sends this request."""
        if scope["path"] not in cors.CLIENT_PATHS:
            return False
        origin = cors.origin(scope["headers"])
        try:
            return origin is not None and await self.state.ctx.public_origins.has(origin.decode())
        except (database.Unavailable, UnicodeDecodeError):
            return False

    def overloaded(
        self, path: str, headers: Iterable[Header], request_id: bytes, *, now: float
    ) -> tuple[list[Header], bytes]:
        """Count a request that got no slot, and return the headers and body of its 503.

        path, headers: the request's. now: seconds on a monotonic clock.
        """
        observability.overloaded(now=now)
        usual, body = problems.overloaded()
        id_header = (REQUEST_ID, request_id)
        return [*usual, id_header, *self.headers, *self.cors.headers(path, headers)], body


def _suspended_while(receive: Any, suspended: Suspended) -> Any:
    async def receive_suspended() -> Any:
        with suspended:
            return await receive()

    return receive_suspended
