"""What every request passes that the door lets through, and every answer to it.

An id, room to work on it, the answer to HEAD, the headers of every answer, and the counts, in one
step. As middleware and hooks of the framework these took 45 microseconds more of a profile's 220.
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
from referral.http.server import metrics, request_ids
from referral.http.server.cors import Cors, Header

_ALWAYS_ROOM = frozenset({"/health/live", "/health/ready", metrics.PATH})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_read(method: str) -> bool:
    return method in _READS


def is_never_refused(path: str) -> bool:
    """A platform that is told "overloaded" by these would end what still serves."""
    return path in _ALWAYS_ROOM


class Application(Litestar):
    """The application."""

    limiter: ConcurrencyLimiter
    cors: Cors
    headers: Iterable[Header] = ()
    """What every answer carries."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            # For the door: see door.py
            scope.get("state", {})["front"] = self
            await super().__call__(scope, receive, send)
        elif scope["method"] != "OPTIONS" or not await self._answer_preflight(scope, send):
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        begun = monotonic()
        method = scope["method"]
        headers = [*self.headers, *self.cors.headers(scope["path"], scope["headers"])]
        request_id = request_ids.begin(scope["headers"])
        status = 0
        sending: AbstractContextManager[None] = nullcontext()

        async def answer(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (request_ids.HEADER, request_id),
                    *headers,
                ]
            elif method == "HEAD":
                message["body"] = b""
            with sending:
                await send(message)

        if method == "HEAD":
            # RFC 9110, section 9.3.2: as GET, without the body
            scope = {**scope, "method": "GET"}
        has_room = scope.get("state", {}).pop("has_room", False)
        if is_never_refused(scope["path"]):
            # It takes no room either: while the database hangs, it waits for it
            if has_room:
                self.limiter.release()
            await super().__call__(scope, receive, answer)
        elif has_room or self.limiter.acquire(is_read=is_read(method), now=begun):
            # Who reads no answer takes no room with it
            sending = suspended = self.limiter.suspended()
            try:
                await super().__call__(scope, _waiting(receive, suspended), answer)
            finally:
                self.limiter.release()
        else:
            head, body = self.refuse(scope["path"], scope["headers"], request_id, now=begun)
            await send({"type": "http.response.start", "status": 503, "headers": head})
            await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
        metrics.count(scope, status, monotonic() - begun)

    async def _answer_preflight(self, scope: Any, send: Any) -> bool:
        """Answer a preflight that is allowed; False if this is none. It is never refused: a page
        learns nothing from a refusal, and this costs less.
        """
        preflight = self.cors.preflight(scope["path"], scope["headers"])
        if preflight is None:
            return False
        if scope.get("state", {}).pop("has_room", False):
            self.limiter.release()
        its_id = (request_ids.HEADER, request_ids.begin(scope["headers"]))
        headers = [*preflight, its_id, *self.headers]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return True

    def refuse(
        self, path: str, headers: Iterable[Header], request_id: bytes, *, now: float
    ) -> tuple[list[Header], bytes]:
        """Count a request that found no room, and answer it: headers and body, with status 503.

        path, headers: the request's. now: seconds, of any clock.
        """
        observability.overloaded(now=now)
        usual, body = problems.overloaded()
        its_id = (request_ids.HEADER, request_id)
        return [*usual, its_id, *self.headers, *self.cors.headers(path, headers)], body


def _waiting(receive: Any, suspended: Suspended) -> Any:
    """Who sends a body slowly takes no room with it: else a hundred of them would take all."""

    async def wait() -> Any:
        with suspended:
            return await receive()

    return wait
