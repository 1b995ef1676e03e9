"""Fake gateways: HTTP servers that receive messages, as the providers' APIs and a hook do.

Those of Telegram, WhatsApp and Twilio's calls check each request against the documented fields, in
tests/messaging/schemas.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jsonschema_rs

_SCHEMAS = Path(__file__).parents[1] / "messaging" / "schemas"

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


@dataclass(frozen=True)
class Contract:
    """The documented requests of a provider: their path, and the schema of their fields."""

    path: str
    schema: str
    is_form: bool = False

    def problems(self, request: Request) -> Iterator[str]:
        """Return how a request differs from the contract."""
        kind = "application/x-www-form-urlencoded" if self.is_form else "application/json"
        if request.path != self.path:
            yield f"path {request.path}"
        if request.headers.get("content-type") != kind:
            yield f"content type {request.headers.get('content-type')}"
        schema = json.loads((_SCHEMAS / self.schema).read_text())
        try:
            fields = _typed(request.body, schema) if self.is_form else json.loads(request.body)
        except ValueError:
            yield "unreadable body"
            return
        for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(fields):
            yield f"{error.instance_path}: {error.message}"


def _typed(body: str, schema: Any) -> dict[str, Any]:
    """Return the fields of a form with the types that the schema has for them."""
    fields: dict[str, Any] = {}
    for name, values in parse_qs(body, strict_parsing=True, keep_blank_values=True).items():
        match schema["properties"].get(name, {}).get("type"):
            case "array":
                fields[name] = values
            case "integer":
                fields[name] = int(values[0])
            case _:
                fields[name] = values[0] if len(values) == 1 else values
    return fields


@dataclass
class FakeGateway:
    """A server that stores the requests it receives.

    Its responses, a status and a JSON body each, are those of `next_responses`, and then always
    `default_response`. A body of bytes is sent as it is.
    """

    url: str
    default_response: tuple[int, Any]
    requests: list[Request] = field(default_factory=list)
    next_responses: list[tuple[int, Any]] = field(default_factory=list)
    location: str = ""
    """The Location header of its responses."""
    hanging: bool = False
    """Whether it accepts requests without responding, until it ends."""
    delay: float = 0
    """How many seconds it waits before each response."""
    stalls: bool = False
    """Whether it sends only the headers of its responses, until it ends."""
    contract: Contract | None = None
    problems: list[str] = field(default_factory=list)
    """How requests differ from the contract."""
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


TELEGRAM_TOKEN = "AAHfAwAAw0Gq:Qx_Yz-12345"
WHATSAPP_TOKEN, WHATSAPP_SECRET = "EAAJBqTestToken0123456789", "fedcba9876543210fedcba9876543210"
WHATSAPP_NUMBER_ID, WHATSAPP_MESSAGE_ID = "106540352242922", "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBI1"
VOICE_TOKEN, CALL_SID = "aTwilioAuthToken", "CA0123456789abcdef0123456789abcdef"


@contextmanager
def telegram_gateway() -> Iterator[FakeGateway]:
    """Run a fake of the Telegram Gateway until the block ends.

    https://core.telegram.org/gateway/api#requeststatus
    """
    status = {"request_id": "1234567890", "phone_number": "+79995550199", "request_cost": 0.01}
    contract = Contract("/sendVerificationMessage", "telegram.json")
    with _checking(contract, (200, {"ok": True, "result": status})) as gateway:
        yield gateway


def telegram_error(name: str, status: int = 200) -> tuple[int, dict[str, Any]]:
    return status, {"ok": False, "error": name}


@contextmanager
def whatsapp_cloud() -> Iterator[FakeGateway]:
    """Run a fake of the WhatsApp Cloud API until the block ends.

    https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
    """
    accepted = {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+79995550199", "wa_id": "79995550199"}],
        "messages": [{"id": WHATSAPP_MESSAGE_ID, "message_status": "accepted"}],
    }
    contract = Contract(f"/v26.0/{WHATSAPP_NUMBER_ID}/messages", "whatsapp.json")
    with _checking(contract, (200, accepted)) as gateway:
        yield gateway


def whatsapp_error(code: int, status: int = 400) -> tuple[int, dict[str, Any]]:
    """Return an error response of the Graph API's."""
    return status, {
        "error": {
            "message": f"(#{code}) Message for +79995550199 failed",
            "type": "OAuthException",
            "code": code,
            "error_data": {"messaging_product": "whatsapp", "details": "482716"},
            "fbtrace_id": "AbCdEf",
        }
    }


@contextmanager
def twilio_voice() -> Iterator[FakeGateway]:
    """Run a fake of Twilio's Calls resource until the block ends."""
    contract = Contract(
        f"/2010-04-01/Accounts/{TWILIO_SID}/Calls.json", "twilio_call.json", is_form=True
    )
    with _checking(contract, (201, {"sid": CALL_SID, "status": "queued"})) as gateway:
        yield gateway


@contextmanager
def hook_server() -> Iterator[FakeGateway]:
    """Run a team's own hook until the block ends."""
    with _serving("/sms", (204, None)) as gateway:
        yield gateway


@contextmanager
def _checking(contract: Contract, default_response: tuple[int, Any]) -> Iterator[FakeGateway]:
    """Run a server until the block ends, and check that it got only documented requests."""
    with _serving("", default_response) as gateway:
        gateway.contract = contract
        yield gateway
        assert gateway.problems == [], gateway.problems


@contextmanager
def _serving(path: str, default_response: tuple[int, Any]) -> Iterator[FakeGateway]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.path, headers, body)
            gateway.requests.append(request)
            if gateway.contract:
                gateway.problems += gateway.contract.problems(request)
            if gateway.hanging:
                gateway.ended.wait(30)
                return
            time.sleep(gateway.delay)
            status, content = (
                gateway.next_responses.pop(0)
                if gateway.next_responses
                else gateway.default_response
            )
            self.send_response(status)
            if gateway.location:
                self.send_header("Location", gateway.location)
            if content is None:
                payload = b""
            else:
                payload = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            if gateway.stalls:
                gateway.ended.wait(30)
                return
            # A client may close the connection before it has read a long body
            with suppress(ConnectionError):
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
