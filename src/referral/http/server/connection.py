"""uvicorn's reader of requests, with bounds on what one connection may have waiting.

uvicorn itself reads on while it works on a request, and queues all that it finds: 16 MB of
pipelined requests took 1.1 GB. Nor does it bound a request's head or the time in which it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from referral.http import problems
from referral.http.server import request_ids
from referral.http.server.cors import Header

MOST_WAITING = 16
"""Requests behind the one that is answered: with so many, a connection reads no further. Up to 57
more may come in the part that is parsed already."""
LARGEST_HEAD = 64 * 1024
"""Bytes of a request that are no body: its first line, its headers, the framing of chunks."""
REQUEST_SECONDS = 60
"""In which a request has to come."""
ANSWER_SECONDS = 300
"""In which a client has to read something: a slow one empties the system's buffers first."""
# So much is parsed at once: at most 57 requests
_SLICE = 1024


class _Flow(FlowControl):
    """Reads nothing more while something that was read is not parsed."""

    is_held = False

    def resume_reading(self) -> None:
        if not self.is_held:
            super().resume_reading()


class BoundedConnection(HttpToolsProtocol):
    """One connection.

    Of uvicorn 0.54 it uses `flow`, `pipeline`, `cycle`, `parser` and the parser's callbacks.
    """

    flow: _Flow

    _overhead = 0
    _is_incomplete = True
    """Whether a request has come in part, or none has come yet."""
    _begun = 0
    """Requests."""
    _drains = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._unread = bytearray()
        self._is_parsing = False
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unread.clear()
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._unread:
            self._unread += data
        elif len(data) <= _SLICE and not self._is_full():
            self._parse(data)
        else:
            self._unread += data
            self._go_on()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._overhead, self._is_incomplete = 0, True
        self._begun += 1

    def on_body(self, body: bytes) -> None:
        self._overhead -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_incomplete = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._go_on()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._drains += 1
        self._watch()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own is no problem
        self._refuse_and_close(problems.malformed())

    def _is_full(self) -> bool:
        return bool(self.pipeline) and (
            len(self.pipeline) >= MOST_WAITING or len(self.cycle.body) > HIGH_WATER_LIMIT
        )

    def _go_on(self) -> None:
        """Parse what was read, as far as there is room, and read on only once nothing is left."""
        if self._is_parsing or not self._unread:
            return
        self._is_parsing = True
        try:
            while self._unread and not self._is_full() and not self.transport.is_closing():
                data = bytes(self._unread[:_SLICE])
                del self._unread[:_SLICE]
                self._parse(data)
        finally:
            self._is_parsing = False
        if self.transport.is_closing():
            self._unread.clear()
        elif self._unread:
            self.flow.is_held = True
            self.flow.pause_reading()
        elif self.flow.is_held:
            self.flow.is_held = False
            self.flow.resume_reading()

    def _parse(self, data: bytes) -> None:
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > LARGEST_HEAD and self._is_incomplete:
            self._refuse_and_close(problems.head_too_large())
        # Also for what was read earlier and is parsed now, after the last answer
        if self._is_incomplete and self._timer is None and not self.transport.is_closing():
            self._watch()

    def _refuse_and_close(self, answer: tuple[Iterable[Header], bytes]) -> None:
        if self.transport.is_closing():
            return
        headers, body = answer
        its_id = (request_ids.HEADER, request_ids.begin(self.headers or ()))
        front: Any = self.app_state.get("front")
        more = [its_id, (b"connection", b"close"), *(front.headers if front else ())]
        lines = [STATUS_LINE[400]]
        for name, value in (*self.server_state.default_headers, *headers, *more):
            lines += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join((*lines, b"\r\n", body)))
        self.transport.close()

    def _watch(self) -> None:
        """Look in a while whether this connection waits for a silent client."""
        if self._timer is not None:
            self._timer.cancel()
        unsent = (self._drains, self.transport.get_write_buffer_size())
        if self.flow.write_paused:
            self._timer = self.loop.call_later(ANSWER_SECONDS, self._look, None, unsent)
        else:
            self._timer = self.loop.call_later(REQUEST_SECONDS, self._look, self._begun, None)

    def _look(self, begun: int | None, unsent: tuple[int, int] | None) -> None:
        self._timer = None
        drains, size = self._drains, self.transport.get_write_buffer_size()
        if self.flow.write_paused and unsent and unsent[0] == drains and unsent[1] <= size:
            # It has read nothing
            self.transport.abort()
        elif self._waits_for_request() and begun == self._begun:
            self.transport.close()
        elif not self.transport.is_closing() and (self._is_incomplete or self.flow.write_paused):
            self._watch()

    def _waits_for_request(self) -> bool:
        """For the client rather than for us to read on."""
        return (
            self._is_incomplete
            and not self._unread
            and not self.flow.read_paused
            and not self.flow.write_paused
        )
