"""The time to handle a text grows at most linearly with its size, in every field, header and form.

A text of 64 KB that is hard for some parser, such as combining marks in non-canonical order for
Unicode normalisation, must cost about as much as the same number of bytes of `a` in the same place.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any
from urllib.parse import urlencode

from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.routes import HTTPRoute

import referral
from pages import ORIGIN, hidden_on, signed_in
from referral.http.pages.forms import Form
from referral.http.server.application import Application
from referral.service import admins
from support import Service, context_of, migrated, new_phone, ok, running

FORM = "application/x-www-form-urlencoded"
BYTES = 64_000  # the largest body of 64 KiB, less its other fields
MAX_ESCAPED = 20_000
MAX_RATIO = 3
ROUNDS = 25
# Shorter times are measured too inexactly to compare
MIN_SECONDS = 0.0015

# Repeated, each is hard for some normalisation, regular expression or loop
UNITS = {
    "unordered marks": "\u0301\u0316",
    "letters with unordered marks": "a\u0301\u0316\u0301\u0316",
    "decomposed letters": "\u1112\u1161\u11ab",
    "digits of another script": "\u0667",
    "invisible characters": "\u200b",
    "spaces": " ",
    "digits": "7",
    "dashes": "-",
    "dots": "a.",
    "at signs": "a@",
    "hashes": "#1",
    "languages": "ru;q=0,",
    "links": ".//i/",
    "brackets": "([",
    "colons": "1:",
}
HEADERS = (
    *("authorization", "accept", "accept-language", "content-type", "cookie", "origin"),
    *("user-agent", "x-forwarded-for", "x-request-id"),
)
COOKIES = ("access", "device", "flash", "language", "new_phone", "refresh", "sign_in")
# They end the session of this test, and take no text
ENDING = {"deleteProfile", "endAllSessions", "/sign-out", "/me/sessions/end-all"}

# No form has it
UNKNOWN = "unknown"

# The names of fields, choices and buttons of forms in templates
_NAMED = re.compile(r'<(?:input|button|select|textarea)[^>]*? name="([a-z_]+)"')
NAMED = {
    name
    for template in (Path(referral.__file__).parent / "http/pages/templates").rglob("*.html")
    for name in _NAMED.findall(template.read_text())
}

# Some that must be among the places
KNOWN = (
    *("patchProfile, name", "verify, code", "listUsers, search", "sendCode, header user-agent"),
    *("/, phone", "/, next", "/code, code", "/code, pending", "/code/again, pending"),
    *("/code/again, channel", "/me/phone/code/again, channel"),
    *("/me/account, email", "/me/phone, phone", "/admin/clients, redirect_uri", "/language, next"),
    *("/oauth/continue, user", "/oauth/continue, invitation", f"/language, {UNKNOWN}"),
)

Place = Callable[[bytes], "Request"]


async def test_no_text_costs_more_than_its_size(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/referral.sqlite3"
    await migrated(url)
    hours = {f"REFERRAL_INVITE_FAILURES_PER_{each}_HOUR": "1000000" for each in ("USER", "ADDRESS")}
    async with running(url, inbox=None, **hours) as service:
        places = await every_place(service)
        slow = {(name, kind): 0.0 for name in places for kind in UNITS}
        # A slow text is slow again; other work of the process is over by then
        for _ in range(2):
            slow = {
                (name, kind): ratio
                for name, kind in slow
                if (ratio := await cost_ratio(places[name], UNITS[kind].encode()))
            }
    assert slow == {}
    assert set(KNOWN) <= places.keys()
    assert len(places) > 250


async def cost_ratio(place: Place, unit: bytes) -> float:
    """Return the cost of a text divided by that of `a`; 0 if it is acceptable.

    It is acceptable as soon as the cheapest of up to `ROUNDS` tries is.
    """
    text, plain = place(unit * (BYTES // len(unit))), place(b"a" * BYTES)
    best = best_plain = float("inf")
    for _ in range(ROUNDS):
        best_plain = min(best_plain, await cpu_seconds(plain))
        best = min(best, await cpu_seconds(text))
        if best <= max(best_plain * MAX_RATIO, MIN_SECONDS):
            return 0
    return round(best / best_plain, 1)


async def cpu_seconds(request: Request) -> float:
    begun = process_time()
    status = await request.send()
    elapsed = process_time() - begun
    assert status < 500, (status, request.method, request.path[:80])
    return elapsed


async def every_place(service: Service) -> dict[str, Place]:
    """Return the places for a text in all requests, by name."""
    assert isinstance(service.app, Application)
    admin, user = await service.sign_in_admin(), await service.sign_in()
    moving = ok(await admin.call("POST", "/profile/phone/send-code", json={"phone": new_phone()}))
    signing_in = await service.send_code(new_phone())
    right: dict[str, Any] = {
        "phone": new_phone(),
        "token": signing_in["token"],
        "code": signing_in["code"],
        "invite_code": "000000",
        "refresh_token": "x",
        "user_id": user.id(),
        "session_id": user.id(),
        "action": "unblock",
        "client_id": "x",
        "name": "Anna",
        "trigger": "purchase",
        "beneficiary": "inviter",
        "amount": 1,
        "unit": "points",
        "event_id": "x",
        "type": "purchase",
        "redemption_id": "x",
        "entry_id": user.id(),
        "sequence": 1,
        "provider": "telegram",
    }
    document = ok(await service.get("/docs/openapi.json"))
    bearer = {
        "authorization": f"Bearer {admin.tokens['access_token']}",
        "content-type": "application/json",
    }
    special = {"changePhone": {"token": moving["token"], "code": moving["code"]}}
    places: dict[str, Place] = {}
    kinds: set[str] = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            name = operation["operationId"]
            values = {**right, **special.get(name, {})}
            request = Request(service.app, method.upper(), path, values, bearer)
            if name not in ENDING:
                places |= operation_places(document, operation, request)
                kind = kind_of(path, operation)
                places |= {} if kind in kinds else header_places(name, request)
                kinds.add(kind)
    phone = new_phone()
    await admins.grant(context_of(service), phone)
    async with signed_in(service, phone) as browser:
        await browser.submit("/me/phone", phone=new_phone())
        page = await browser.see("/me/phone/code")
        right |= {name: hidden_on(page)[name] for name in hidden_on(page)}
        cookies = "; ".join(f"{name}={value}" for name, value in browser.http.cookies.items())
        for route in service.app.routes:
            if isinstance(route, HTTPRoute) and route.path not in ENDING:
                for handler in route.route_handlers:
                    places |= page_places(service.app, route.path, handler, right, cookies)
    return places


def operation_places(
    document: dict[str, Any], operation: dict[str, Any], request: Request
) -> dict[str, Place]:
    """Return the parameters and body fields of an operation of the API."""
    places = {}
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        places[name] = (
            request.in_path(name) if parameter["in"] == "path" else request.in_query(name)
        )
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        if media_type == FORM:
            request = replace(request, headers={**request.headers, "content-type": FORM})
            for name in content["schema"]["properties"]:
                places[name] = request.in_form(name, request.right)
            continue
        schema = content["schema"]["$ref"].rpartition("/")[2]
        body = document["components"]["schemas"][schema]
        for name, field in body["properties"].items():
            if "boolean" not in json.dumps(field):
                places[name] = request.in_json(name, body.get("required", []))
    return {f"{operation['operationId']}, {name}": place for name, place in places.items()}


def kind_of(path: str, operation: dict[str, Any]) -> str:
    """Return what decides which headers are read, and by which code: guards and the body."""
    media_types = sorted(operation.get("requestBody", {}).get("content", {}))
    return f"{path.split('/')[1]} {operation.get('security')} {media_types}"


def header_places(name: str, request: Request) -> dict[str, Place]:
    places = {f"{name}, header {each}": request.in_header(each) for each in HEADERS}
    token = request.in_header("authorization", "Bearer ")
    return {**places, f"{name}, header authorization, a token": token}


def page_places(
    app: Application, path: str, handler: HTTPRouteHandler, right: dict[str, Any], cookies: str
) -> dict[str, Place]:
    """Return the parameters of a page and of some pages the headers, and the fields of a form."""
    [method] = handler.http_methods - {"HEAD"}
    if handler.include_in_schema or method == "OPTIONS":
        return {}
    headers = {
        "cookie": cookies,
        "origin": ORIGIN,
        "content-type": FORM,
    }
    request = Request(app, method, re.sub(r":\w+}", "}", path), right, headers)
    places = {}
    for name in re.findall(r"{(\w+)}", request.path):
        places[name] = request.in_path(name)
    for name, parameter in handler.parsed_fn_signature.parameters.items():
        if isinstance(parameter.kwarg_definition, QueryParameter):
            places[name] = request.in_query(parameter.kwarg_definition.name or name)
    for name in fields_of(handler) if method == "POST" else ():
        places[name] = request.in_form(name, right)
    for name in HEADERS if path in {"/", "/me", "/code"} else ():
        places[f"header {name}"] = request.in_header(name)
    for name in COOKIES if path in {"/", "/me", "/code"} else ():
        places[f"cookie {name}"] = request.in_header("cookie", f"{cookies}; {name}=")
    return {f"{path}, {name}": place for name, place in places.items()}


def fields_of(handler: HTTPRouteHandler) -> set[str]:
    """Return the fields that a form's handler can read, and one that it does not know.

    Beside those in its `opt`, these are the names in templates that its module mentions, and the
    `FIELD` of a module that it imports.
    """
    module = sys.modules[handler.fn.__module__]
    source = inspect.getsource(module)
    read = {name for name in NAMED if f'"{name}"' in source}
    imported = {each.FIELD for each in vars(module).values() if hasattr(each, "FIELD")}
    form: Form = handler.opt["form"]
    return {*form.fields, *read, *imported, UNKNOWN}


@dataclass(frozen=True)
class Request:
    """A request to the application in this process, without the cost of a client.

    path: with `{names}` of parameters. right: valid values for fields and parameters, by name.
    """

    app: Application
    method: str
    path: str
    right: Mapping[str, Any]
    headers: Mapping[str, str]
    query: bytes = b""
    body: bytes = b""

    def in_path(self, name: str) -> Place:
        return lambda text: replace(
            self, right={**self.right, name: text.decode().replace("/", "-")}
        )

    def in_query(self, name: str) -> Place:
        return lambda text: replace(self, query=f"{name}={escaped(text)}".encode())

    def in_form(self, name: str, fields: Mapping[str, Any]) -> Place:
        rest = urlencode({each: value for each, value in fields.items() if each != name})
        return lambda text: replace(self, body=f"{rest}&{name}={escaped(text)}".encode())

    def in_json(self, name: str, names: list[str]) -> Place:
        rest = {each: self.right[each] for each in names if each != name}

        def place(text: bytes) -> Request:
            body = json.dumps({**rest, name: text.decode()}, ensure_ascii=False)
            return replace(self, body=body.encode())

        return place

    def in_header(self, name: str, before: str = "") -> Place:
        # Header values are bytes, read as ISO 8859-1
        return lambda text: replace(
            self, headers={**self.headers, name: before + text.decode("latin-1")}
        )

    async def send(self) -> int:
        """Send the request, and return the status of the response."""
        headers = {"host": "127.0.0.1:8000", "content-length": str(len(self.body)), **self.headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path.format_map(self.right),
            "raw_path": b"",
            "query_string": self.query,
            "root_path": "",
            "headers": [(n.encode(), value.encode("latin-1")) for n, value in headers.items()],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8000),
        }
        statuses = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": self.body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await self.app(scope, receive, send)
        [status] = statuses
        return int(status)


@cache
def escaped(text: bytes) -> str:
    """Percent-encode every byte, those of `a` too, to at most 60 KB."""
    return "".join(f"%{byte:02X}" for byte in text[:MAX_ESCAPED])
