"""uvicorn's reader of requests, which itself refuses those beyond the process's room.

A request that the application refuses has cost a task, an event and its way through both before: 18
microseconds beside the socket's. Here, as soon as its headers are read, it costs 8. So at twice as
many reads of profiles as it can take, a process answers twice as many, in a sixth of the time.

And it lets connections end well when the process stops.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from time import monotonic
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from referral.http.server import request_ids
from referral.http.server.application import is_never_refused, is_read
from referral.http.server.connection import BoundedConnection
from referral.http.server.cors import Header

_UNAVAILABLE = STATUS_LINE[503]
# How long a process that stops still takes a request of each connection
_LAST_REQUEST_SECONDS = 1
# A path that reads as it is written
_PLAIN = re.compile(rb"(/[^%?#]*)(?:\?.*)?", re.DOTALL)


class HttpProtocol(BoundedConnection):
    """One connection."""

    _is_last = False
    """The request that comes is the connection's last."""

    def shutdown(self) -> None:
        """Let the connection end, after the answer to a request that is under way already.

        It may be on its way to us, or read in part. Closed at once, the connection would lose it,
        and a proxy may not send a POST again to another server.
        """
        before: RequestResponseCycle | None = self.cycle
        if before is None or before.response_complete:
            self._is_last = True
            self.loop.call_later(_LAST_REQUEST_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def on_headers_complete(self) -> None:
        # A refusal before this one, in the same packet, has set its time for the next one to come
        self._unset_keepalive_if_required()
        front: Any = self.app_state.get("front")
        if front is None or not self._begins_at_once():
            before = self.cycle
            super().on_headers_complete()
            if self._is_last and self.cycle is not before:
                self.cycle.keep_alive = False
            return
        now = monotonic()
        method = self.parser.get_method().decode()
        if front.limiter.acquire(is_read=is_read(method), now=now):
            self.scope["state"]["has_room"] = True
            try:
                super().on_headers_complete()
            except BaseException:
                # No task began that would
                front.limiter.release()
                raise
        elif self._may_be_refused_here(method):
            request_id = request_ids.begin(self.headers)
            path = self.root_path + self.url.partition(b"?")[0].decode("latin-1")
            self._refuse(*front.refuse(path, self.headers, request_id, now=now))
        else:
            super().on_headers_complete()

    def _begins_at_once(self) -> bool:
        """Whether the application gets the request surely and before any other of the connection,
        and so leaves the room that it takes, and whether the connection goes on behind it.
        """
        before: RequestResponseCycle | None = self.cycle
        return (
            before is not None
            and before.response_complete
            and not self._is_last
            and not self.parser.should_upgrade()
            and self.limit_concurrency is None
        )

    def _may_be_refused_here(self, method: str) -> bool:
        """Whether a plain answer is right, after which the connection goes on."""
        path = _PLAIN.fullmatch(self.url)
        return (
            path is not None
            and not is_never_refused(self.root_path + path[1].decode("latin-1"))
            and method not in {"HEAD", "OPTIONS"}
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.expect_100_continue
            # Who does not read what is answered gets no more, nor who is gone
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    def _refuse(self, headers: Iterable[Header], body: bytes) -> None:
        lines = [_UNAVAILABLE]
        for name, value in (*self.server_state.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join((*lines, b"\r\n", body)))
        self.on_response_complete()
