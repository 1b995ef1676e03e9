"""The HTTP/1.1 protocol that uvicorn runs: it refuses early, and ends connections gracefully.

Under overload, refusing must cost less than serving. A request refused by the application costs a
task and an event: 18 microseconds besides the work of the socket. Refused here, as soon as its
headers are parsed, it costs 8. With twice as many reads of profiles as a process can serve, that
doubled the number that it served, and cut their time to a sixth.

So a slot of the concurrency limiter is acquired here if the application is certain to get the
request next, and passed on in the scope's state; the application releases it. A request behind
another one on its connection acquires its slot when the application gets to it. A refusal is
written here only if a plain response is right and the connection continues after it; the
application refuses any other request.

When the process stops, an idle connection still takes one request for a second: see `shutdown`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from time import monotonic
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from referral.http.server.application import is_exempt, is_read
from referral.http.server.connection import BoundedConnection
from referral.http.server.cors import Header
from referral.http.server.headers import assign_request_id

_UNAVAILABLE = STATUS_LINE[503]
# How long a client may still send a request on an idle connection while the process stops
_LAST_REQUEST_SECONDS = 1
# A target in origin form (RFC 9112, section 3.2.1), whose path needs no decoding
_PLAIN_TARGET = re.compile(rb"(/[^%?#]*)(?:\?.*)?", re.DOTALL)


class HttpProtocol(BoundedConnection):
    """One connection, with early refusals and a graceful end."""

    _takes_last_request = False
    """Whether the connection takes one more request and closes after the response."""

    def shutdown(self) -> None:
        """Close the connection, after the response to a request that is under way or comes soon.

        A request may be in the network or half read. If the connection closed immediately, it would
        be lost, and a proxy must not send a POST again to another server (RFC 9110, section 9.2.2).
        """
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._takes_last_request = True
            self.loop.call_later(_LAST_REQUEST_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def on_headers_complete(self) -> None:
        # A refusal of a request before it in the same packet has started the keep-alive timer
        self._unset_keepalive_if_required()
        application: Any = self.app_state.get("application")
        if application is None or not self._can_acquire_early():
            before = self.cycle
            super().on_headers_complete()
            if self._takes_last_request and self.cycle is not before:
                self.cycle.keep_alive = False
            return
        now = monotonic()
        method = self.parser.get_method().decode()
        if application.limiter.acquire(is_read=is_read(method), now=now):
            self.scope["state"]["slot_acquired"] = True
            try:
                super().on_headers_complete()
            except BaseException:
                # No task was started that would release the slot
                application.limiter.release()
                raise
        elif self._can_refuse_here(method):
            request_id = assign_request_id(self.headers)
            path = self.root_path + self.url.partition(b"?")[0].decode("latin-1")
            self._refuse(*application.overloaded(path, self.headers, request_id, now=now))
        else:
            super().on_headers_complete()

    def _can_acquire_early(self) -> bool:
        """Return whether the application gets this request next, so that it releases the slot.

        False also if the connection may not continue after it.
        """
        before: RequestResponseCycle | None = self.cycle
        return (
            before is not None
            and before.response_complete
            and not self._takes_last_request
            and not self.parser.should_upgrade()
            and self.limit_concurrency is None
        )

    def _can_refuse_here(self, method: str) -> bool:
        """Return whether a plain response is right, after which the connection continues."""
        target = _PLAIN_TARGET.fullmatch(self.url)
        return (
            target is not None
            and not is_exempt(self.root_path + target[1].decode("latin-1"))
            and method not in {"HEAD", "OPTIONS"}
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.expect_100_continue
            # Nothing more is written for a client that does not read, or has disconnected
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    def _refuse(self, headers: Iterable[Header], body: bytes) -> None:
        lines = [_UNAVAILABLE]
        for name, value in (*self.server_state.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join((*lines, b"\r\n", body)))
        self._was_refused = True
        self.on_response_complete()
