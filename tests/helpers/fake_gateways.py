"""Fake gateways: HTTP servers that receive messages, as Twilio's API and as a hook do."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

TWILIO_SID = "AC0123456789abcdef0123456789abcdef"
TWILIO_TOKEN = "0123456789abcdef"
TWILIO_SENDER = "+15005550007"
HOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True)
class Request:
    """A request that was received."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass
class FakeGateway:
    """A server that stores the requests it receives.

    Its responses, a status and a JSON body each, are those of `next_responses`, and then always
    `default_response`.
    """

    url: str
    default_response: tuple[int, Any]
    requests: list[Request] = field(default_factory=list)
    next_responses: list[tuple[int, Any]] = field(default_factory=list)
    location: str = ""
    """The Location header of its responses."""
    hanging: bool = False
    """Whether it accepts requests without responding, until it ends."""
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def forms(self) -> list[dict[str, str]]:
        """Return the forms received, with one value for each field."""
        return [
            {name: values[0] for name, values in parse_qs(each.body, strict_parsing=True).items()}
            for each in self.requests
        ]

    @property
    def jsons(self) -> list[dict[str, Any]]:
        return [json.loads(each.body) for each in self.requests]

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Return the phone and text of each message received."""
        if "twilio" in self.url:
            return [(form["To"], form["Body"]) for form in self.forms]
        return [(each["phone"], each["text"]) for each in self.jsons]


def code_in(text: str) -> str:
    """Return the code from the last line, where browsers find it bound to the site."""
    bound = re.fullmatch(r"@127\.0\.0\.1 #([0-9]+)", text.splitlines()[-1])
    assert bound is not None, text
    assert text.startswith(bound[1])
    return bound[1]


@contextmanager
def twilio() -> Iterator[FakeGateway]:
    """Run a fake of Twilio's API until the block ends.

    https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
    """
    queued = {"sid": "SM0123456789abcdef0123456789abcdef", "status": "queued", "error_code": None}
    with _serving("/twilio", (201, queued)) as gateway:
        yield gateway


def twilio_error(status: int, code: int) -> tuple[int, dict[str, Any]]:
    """Return an error response of Twilio's.

    https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions
    """
    return status, {
        "code": code,
        "message": "The 'To' number is not a valid phone number.",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


@contextmanager
def hook_server() -> Iterator[FakeGateway]:
    """Run a team's own hook until the block ends."""
    with _serving("/sms", (204, None)) as gateway:
        yield gateway


@contextmanager
def _serving(path: str, default_response: tuple[int, Any]) -> Iterator[FakeGateway]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            gateway.requests.append(Request(self.path, headers, body))
            if gateway.hanging:
                gateway.ended.wait(30)
                return
            status, content = (
                gateway.next_responses.pop(0)
                if gateway.next_responses
                else gateway.default_response
            )
            self.send_response(status)
            if gateway.location:
                self.send_header("Location", gateway.location)
            payload = b"" if content is None else json.dumps(content).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST  # noqa: N815 - http.server's name for it

        def log_message(self, *_: Any) -> None:
            """Keep the log of requests out of the tests' output."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        gateway = FakeGateway(
            f"http://127.0.0.1:{server.server_address[1]}{path}", default_response
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield gateway
        finally:
            gateway.ended.set()
            server.shutdown()
            thread.join()
