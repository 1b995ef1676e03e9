"""What every request passes before the framework, and every answer after it, in one step.

An id, room to work on it, the answer to HEAD, the headers of every answer, and the counts. As
middleware and hooks of the framework these took 45 microseconds more of a profile's 220.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any

from litestar import Litestar

from referral.core.room import Room
from referral.http import metrics, problems, request_ids
from referral.service import outcomes

# A platform that is told "overloaded" by these would end what still serves
_ALWAYS_ROOM = frozenset({"/health/live", "/health/ready", metrics.PATH})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})

Header = tuple[bytes, bytes]


class Front(Litestar):
    """The application."""

    room: Room
    headers: Iterable[Header] = ()
    """What every answer carries."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        begun = monotonic()
        method, headers = scope["method"], self.headers
        request_id = request_ids.begin(scope)
        status = 0

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
            await send(message)

        if method == "HEAD":
            # RFC 9110, section 9.3.2: as GET, without the body
            scope = {**scope, "method": "GET"}
        room = self.room
        if scope["path"] in _ALWAYS_ROOM:
            await super().__call__(scope, receive, answer)
        elif room.enter(is_read=method in _READS, now=begun):
            try:
                await super().__call__(scope, _aside(receive, room), answer)
            finally:
                room.leave()
        else:
            outcomes.overloaded(now=begun)
            await problems.answer_overloaded(answer, self._cross_origin(scope))
        metrics.count(scope, status, monotonic() - begun)

    def _cross_origin(self, scope: Any) -> list[Header]:
        """What lets a page of another origin read an answer that the framework does not see."""
        cors = self.cors_config
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if cors is None or origin is None or not cors.is_origin_allowed(origin.decode("latin-1")):
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", ", ".join(cors.expose_headers).encode()),
            (b"vary", b"Origin"),
        ]


def _aside(receive: Any, room: Room) -> Any:
    """Who sends a body slowly takes no room with it: else a hundred of them would take all."""

    async def wait() -> Any:
        with room.aside():
            return await receive()

    return wait
