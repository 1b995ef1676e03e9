"""uvicorn's HTTP/1.1 connection, with limits on what one client can make the server hold.

uvicorn keeps parsing while a request is processed, and queues every request that it finds: 16 MB of
pipelined requests took 1.1 GB. It also sets no limit on the size of a request's head, nor on the
time in which a request arrives or a response is read. `BoundedConnection` limits all four.

Received bytes are parsed in pieces of `_PARSE_BYTES`. Once `MAX_PIPELINED` requests are queued, the
rest stays unparsed and reading is paused, so that TCP's flow control slows the client down. Parsing
resumes when a response completes.

Responses are sent in the order of their requests (RFC 9112, section 9.3.2). So the 400 for bytes
that cannot be parsed is sent after the responses to the requests before them; uvicorn itself would
write it into the middle of the response that is being sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from referral.http import problems
from referral.http.server.cors import Header
from referral.http.server.headers import REQUEST_ID, assign_request_id

MAX_PIPELINED = 16
"""If so many requests are queued behind the current one, nothing more is parsed. The piece that is
being parsed may add up to 57 more."""
MAX_HEAD_BYTES = 64 * 1024
"""Size of a request without its body: request line, headers, trailers and framing of chunks."""
REQUEST_TIMEOUT = 60
"""Seconds in which a request must arrive."""
READ_TIMEOUT = 300
"""Seconds in which a client must read some of a response. Long, because a slow client first reads
what is in the operating system's buffers."""
# At most 57 requests fit in
_PARSE_BYTES = 1024


class _HoldableFlow(FlowControl):
    """Flow control that does not resume reading while it is held."""

    is_held = False

    def hold(self) -> None:
        self.is_held = True
        self.pause_reading()

    def resume_reading(self) -> None:
        if not self.is_held:
            super().resume_reading()


class BoundedConnection(HttpToolsProtocol):
    """One connection, with the limits above.

    It relies on `flow`, `pipeline`, `cycle`, `scope`, `parser` and the parser's callbacks of
    uvicorn 0.54.
    """

    flow: _HoldableFlow

    _head_bytes = 0
    """Size of the request that is being parsed, without its body."""
    _awaits_request = True
    """Whether the next request has not arrived completely."""
    _was_refused = False
    """Whether the request that is being parsed got its response early, without a uvicorn cycle."""
    _requests_begun = 0
    _drains = 0
    """How often the client has read enough of a full write buffer to resume writing."""
    _timer: asyncio.TimerHandle | None = None
    _farewell: bytes | None = None
    """The bytes to send before the connection is closed, once all requests have their responses. If
    it is set, nothing more is parsed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own signature
        super().connection_made(transport)
        self.flow = _HoldableFlow(transport)
        self._unparsed = bytearray()
        self._is_parsing = False
        self._restart_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unparsed.clear()
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._is_ending():
            return
        if self._unparsed:
            self._unparsed += data
        elif len(data) <= _PARSE_BYTES and not self._is_pipeline_full():
            self._parse(data)
        else:
            self._unparsed += data
            self._parse_unparsed()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes, self._awaits_request, self._was_refused = 0, True, False
        self._requests_begun += 1

    def on_body(self, body: bytes) -> None:
        self._head_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._awaits_request = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        was_last = not self.pipeline
        super().on_response_complete()
        if self._farewell is None:
            self._parse_unparsed()
        elif was_last:
            self._close(self._farewell)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._restart_timer()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._drains += 1
        self._restart_timer()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the response is a problem document
        self._refuse_and_close(problems.malformed())

    def _is_ending(self) -> bool:
        return self._farewell is not None or self.transport.is_closing()

    def _is_pipeline_full(self) -> bool:
        return bool(self.pipeline) and (
            len(self.pipeline) >= MAX_PIPELINED or len(self.cycle.body) > HIGH_WATER_LIMIT
        )

    def _parse_unparsed(self) -> None:
        """Parse received bytes until the pipeline is full. Resume reading once none are left."""
        if self._is_parsing or not self._unparsed:
            return
        self._is_parsing = True
        try:
            while self._unparsed and not self._is_pipeline_full() and not self._is_ending():
                data = bytes(self._unparsed[:_PARSE_BYTES])
                del self._unparsed[:_PARSE_BYTES]
                self._parse(data)
        finally:
            self._is_parsing = False
        if self._is_ending():
            self._unparsed.clear()
        elif self._unparsed:
            self.flow.hold()
        elif self.flow.is_held:
            self.flow.is_held = False
            self.flow.resume_reading()

    def _parse(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and self._awaits_request:
            self._refuse_and_close(problems.head_too_large())
        # Bytes that were held back may be parsed after the last response, when no timer runs
        if self._awaits_request and self._timer is None and not self.transport.is_closing():
            self._restart_timer()

    def _refuse_and_close(self, response: tuple[Iterable[Header], bytes]) -> None:
        """Refuse the request that is being parsed, in its turn, then close the connection."""
        if self._is_ending():
            return
        refusal = self._encode(response)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.scope is not self.scope:
            # In the head of a request, or in the body of one that was refused early
            is_busy = cycle is not None and not cycle.response_complete
            refusal = b"" if self._was_refused else refusal
        elif self.pipeline:
            # In the body of a queued request
            self.pipeline.popleft()
            is_busy = True
        elif cycle.response_started:
            is_busy = not cycle.response_complete
            refusal = b""
        else:
            # The application waits for the rest of the body
            is_busy = False
            cycle.disconnected = True
            cycle.message_event.set()
        if is_busy:
            self._farewell = refusal
            self.flow.hold()
        else:
            self._close(refusal)

    def _encode(self, response: tuple[Iterable[Header], bytes]) -> bytes:
        headers, body = response
        application: Any = self.app_state.get("application")
        lines = [STATUS_LINE[400]]
        for name, value in (
            *self.server_state.default_headers,
            *headers,
            (REQUEST_ID, assign_request_id(self.headers or ())),
            (b"connection", b"close"),
            *(application.headers if application else ()),
        ):
            lines += (name, b": ", value, b"\r\n")
        return b"".join((*lines, b"\r\n", body))

    def _close(self, farewell: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(farewell)
            self.transport.close()

    def _restart_timer(self) -> None:
        """Check for a silent client after READ_TIMEOUT if it has to read, else REQUEST_TIMEOUT."""
        if self._timer is not None:
            self._timer.cancel()
        unsent = (self._drains, self.transport.get_write_buffer_size())
        if self.flow.write_paused:
            self._timer = self.loop.call_later(READ_TIMEOUT, self._on_timer, None, unsent)
        else:
            self._timer = self.loop.call_later(
                REQUEST_TIMEOUT, self._on_timer, self._requests_begun, None
            )

    def _on_timer(self, requests_begun: int | None, unsent: tuple[int, int] | None) -> None:
        """Close the connection if the client has done nothing since the timer started."""
        self._timer = None
        drains, size = self._drains, self.transport.get_write_buffer_size()
        if self.flow.write_paused and unsent and unsent[0] == drains and unsent[1] <= size:
            # The client has read nothing
            self.transport.abort()
        elif self._waits_for_client() and requests_begun == self._requests_begun:
            self.transport.close()
        elif not self.transport.is_closing() and (self._awaits_request or self.flow.write_paused):
            self._restart_timer()

    def _waits_for_client(self) -> bool:
        """Return whether a request is due, and reading is not paused on our side."""
        return (
            self._awaits_request
            and not self._unparsed
            and not self.flow.read_paused
            and not self.flow.write_paused
        )
