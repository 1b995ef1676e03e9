"""HTTP servers that take messages: Twilio's API, and a team's own endpoint."""

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
    """What came."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Sender:
    """A server that keeps what it is sent. answers: the next ones, then `usual`."""

    url: str
    usual: tuple[int, Any]
    requests: list[Request] = field(default_factory=list)
    answers: list[tuple[int, Any]] = field(default_factory=list)
    location: str = ""
    """Where its redirects lead."""
    hanging: bool = False
    """Whether it takes requests and answers none, until it ends."""
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def forms(self) -> list[dict[str, str]]:
        """The forms that came, each field once."""
        return [
            {name: values[0] for name, values in parse_qs(each.body, strict_parsing=True).items()}
            for each in self.requests
        ]

    @property
    def jsons(self) -> list[dict[str, Any]]:
        return [json.loads(each.body) for each in self.requests]

    @property
    def texts(self) -> list[tuple[str, str]]:
        """The phones and texts that came, in whichever way."""
        if "twilio" in self.url:
            return [(form["To"], form["Body"]) for form in self.forms]
        return [(each["phone"], each["text"]) for each in self.jsons]


def code_in(text: str) -> str:
    """The code as a browser finds it: in the last line, bound to the site."""
    bound = re.fullmatch(r"@127\.0\.0\.1 #([0-9]+)", text.splitlines()[-1])
    assert bound is not None, text
    assert text.startswith(bound[1])
    return bound[1]


@contextmanager
def twilio() -> Iterator[Sender]:
    """https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource"""
    taken = {"sid": "SM0123456789abcdef0123456789abcdef", "status": "queued", "error_code": None}
    with _serving("/twilio", (201, taken)) as sender:
        yield sender


def twilio_error(status: int, code: int) -> tuple[int, dict[str, Any]]:
    """https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions"""
    return status, {
        "code": code,
        "message": "The 'To' number is not a valid phone number.",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


@contextmanager
def endpoint() -> Iterator[Sender]:
    with _serving("/sms", (204, None)) as sender:
        yield sender


@contextmanager
def _serving(path: str, usual: tuple[int, Any]) -> Iterator[Sender]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            sender.requests.append(Request(self.path, headers, body))
            if sender.hanging:
                sender.ended.wait(30)
                return
            status, answer = sender.answers.pop(0) if sender.answers else sender.usual
            self.send_response(status)
            if sender.location:
                self.send_header("Location", sender.location)
            payload = b"" if answer is None else json.dumps(answer).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST  # noqa: N815 - as http.server calls it

        def log_message(self, *_: Any) -> None:
            """Nothing of it is for the tests' output."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        sender = Sender(f"http://127.0.0.1:{server.server_address[1]}{path}", usual)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield sender
        finally:
            sender.ended.set()
            server.shutdown()
            thread.join()
