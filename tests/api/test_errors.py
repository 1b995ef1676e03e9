"""Error responses: one form, a stable code, and no echo of the input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import httpx
import pytest

from support import Person, Service, new_phone, ok, refused, running

CANARY = "QXCANARYXQ"
JSON = "application/json"
LARGEST = 64 * 1024

# A body for each operation that takes one, valid except for its tokens and codes
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/v1/auth/send-code"): {"phone": "+79991234567", "device_token": "x"},
    ("POST", "/api/v1/auth/verify"): {"token": "x", "code": "1234", "invite_code": "000000"},
    ("POST", "/api/v1/auth/refresh"): {"refresh_token": "x"},
    ("POST", "/api/v1/auth/logout"): {"refresh_token": "x"},
    ("PUT", "/api/v1/profile"): {"name": "Anna", "email": "anna@example.com"},
    ("PATCH", "/api/v1/profile"): {"name": "Anna", "email": "anna@example.com"},
    ("POST", "/api/v1/profile/phone/send-code"): {"phone": "+79991234567"},
    ("PUT", "/api/v1/profile/phone"): {"token": "x", "code": "1234"},
    ("PUT", "/api/v1/profile/inviter"): {"invite_code": "000000"},
    ("PATCH", "/api/v1/users/{user_id}"): {"is_blocked": False, "is_admin": False},
    ("PUT", "/api/v1/reward-rules/{name}"): {
        "trigger": "unused",
        "beneficiary": "inviter",
        "amount": 500,
        "unit": "points",
        "occurs": {"at": 3},
        "min_value": 100,
        "cap_per_month": 1000,
        "cap_total": 5000,
        "hold_days": 14,
        "review": "flagged",
        "from": "2026-01-01T00:00:00Z",
        "until": "2036-01-01T00:00:00Z",
    },
    ("POST", "/api/v1/events"): {
        "event_id": "x",
        "type": "purchase",
        "phone": "+79990000000",
        "value": 4900,
    },
    ("POST", "/api/v1/events/{event_id}/reverse"): {"reason": "refund"},
    ("POST", "/api/v1/users/{user_id}/redemptions"): {
        "redemption_id": "x",
        "unit": "points",
        "amount": 300,
    },
}
# Of those, the fields without which the body is valid
OPTIONAL = {
    *("device_token", "name", "email", "is_blocked", "is_admin", "value", "reason"),
    *("occurs", "min_value", "cap_per_month", "cap_total", "hold_days", "review", "from", "until"),
}
EVERY_BODY = pytest.mark.parametrize(("method", "path"), BODIES)


def broken_bodies(good: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield bodies that no operation accepts, each with the reason."""
    first, *_ = good
    rest = json.dumps(good)[1:].encode()
    yield "empty", b""
    yield "spaces", b"  "
    yield "cut short", b'{"' + CANARY.encode()
    yield "not JSON", CANARY.encode()
    yield "trailing data", json.dumps(good).encode() + b" {}"
    yield "comment", b"/* " + CANARY.encode() + b" */ {" + rest
    yield "single quotes", f"{{'{CANARY}': 1}}".encode()
    yield "byte order mark", b"\xef\xbb\xbf{" + rest
    yield "UTF-16", json.dumps(good).encode("utf-16")
    yield "invalid UTF-8", f'{{"{first}": "{CANARY}'.encode() + b'\xff"}'
    yield "overlong NUL", f'{{"{first}": "{CANARY}'.encode() + b'\xc0\x80"}'
    yield "surrogate in UTF-8", f'{{"{first}": "{CANARY}'.encode() + b'\xed\xa0\x80"}'
    for half in ("\\ud800", "\\uDFFF", "\\ude00\\ud83d"):
        yield "lone surrogate", f'{{"{first}": "{CANARY}{half}"}}'.encode()
        yield "lone surrogate in a key", f'{{"{CANARY}{half}": 1, '.encode() + rest
    yield "U+0000", f'{{"{first}": "{CANARY}\\u0000"}}'.encode()
    yield "unescaped U+0000", f'{{"{first}": "{CANARY}\0"}}'.encode()
    yield "duplicate key", f'{{"{first}": "{CANARY}", '.encode() + rest
    yield "escaped duplicate key", f'{{"\\u{ord(first[0]):04x}{first[1:]}": "x", '.encode() + rest
    for value in ("null", "true", "5", "-0.0", '""', f'"{CANARY}"', "[]", f'["{CANARY}"]', "[[]]"):
        yield "not an object", value.encode()
    yield "objects in an array", f"[{json.dumps(good)}]".encode()
    for depth in (900, 20_000, 65_000):
        yield "deep arrays", b"[" * depth
        yield "deep arrays, closed", b"[" * (depth // 2) + b"]" * (depth // 2)
    yield "deep objects", b'{"a":' * 10_000
    yield "deep in a field", f'{{"{first}": '.encode() + b"[" * 30_000 + b"]" * 30_000 + b"}"
    yield "deep in an unknown field", b'{"x": ' + b"[" * 30_000 + b"]" * 30_000 + b", " + rest
    yield "unknown field", f'{{"{CANARY}": 1, '.encode() + rest
    yield "unknown field with a dot", f'{{"a.{CANARY}`$": 1, '.encode() + rest
    yield "unknown field without a name", b'{"": 1, ' + rest
    for constant in ("NaN", "Infinity", "-Infinity", "nan"):
        yield "not a JSON number", f'{{"{first}": {constant}}}'.encode()
        yield "not a JSON number, unknown field", f'{{"x": {constant}, '.encode() + rest
    for field, right in good.items():
        start = json.dumps({name: value for name, value in good.items() if name != field})[:-1]
        start += ", " if len(good) > 1 else ""
        wrong = ["5", "1e400", "-1", "9" * 60_000, "1" * 30, "1.5", "true", "[]", "{}"]
        wrong += [f'["{CANARY}"]', f'{{"{CANARY}": 1}}']
        if field in required(good):
            wrong.append("null")
        if isinstance(right, bool):
            wrong.remove("true")
        elif isinstance(right, int):
            wrong.remove("5")
        for value in wrong:
            yield f"{field} of another type", f'{start}"{field}": {value}}}'.encode()


def required(good: dict[str, Any]) -> set[str]:
    """Return the required fields of a body.

    An invite code is optional beside a challenge token, and the phone of an event, which may have a
    user's id instead.
    """
    optional = {"invite_code"} if "token" in good else {"phone"} if "event_id" in good else set()
    return good.keys() - optional - OPTIONAL


async def authorized(service: Service, path: str) -> tuple[Person, str]:
    """Return somebody who may use an operation, and its path with the id of an existing user.

    A rule in the path exists too. No event triggers it.
    """
    person = await service.sign_in()
    short = path.removeprefix("/api/v1").replace("{user_id}", person.id())
    if not short.startswith(("/users", "/events", "/reward-rules")):
        return person, short
    key = await service.api_key()
    short = short.replace("{name}", token_hex(8))
    if "{name}" in path:
        made = await key.call("PUT", short, json=BODIES["PUT", path])
        assert made.status_code == 201, made.text
    return key, short


def assert_no_echo(response: httpx.Response) -> None:
    text = response.text + str(response.headers)
    assert CANARY.lower() not in text.lower()


# Bodies


async def test_bodies_of_all_operations_are_tested(service: Service) -> None:
    """`BODIES` has exactly the operations with a JSON body in the OpenAPI document."""
    document = ok(await service.get("/docs/openapi.json"))
    with_body = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if JSON in operation.get("requestBody", {}).get("content", {})
    }
    different = with_body ^ BODIES.keys()
    assert not different, f"add to BODIES here, or remove: {different}"


@EVERY_BODY
async def test_broken_bodies(service: Service, method: str, path: str) -> None:
    """The response is 400 with `errors`, short, and without an echo."""
    person, short = await authorized(service, path)
    for why, body in broken_bodies(BODIES[method, path]):
        response = await person.call(method, short, content=body, headers={"content-type": JSON})
        assert response.status_code == 400, (why, body[:80], response.text)
        problem = refused(response, 400, "invalid_request")
        assert problem["errors"], why
        assert all(error.keys() == {"field", "message"} for error in problem["errors"])
        assert len(response.content) < 1000
        assert_no_echo(response)


@EVERY_BODY
async def test_required_fields(service: Service, method: str, path: str) -> None:
    """A missing field is named in `errors`."""
    good = BODIES[method, path]
    person, short = await authorized(service, path)
    for field in required(good):
        body = {name: value for name, value in good.items() if name != field}
        response = await person.call(method, short, json=body)
        errors = refused(response, 400, "invalid_request")["errors"]
        assert {"field": field, "message": "Required."} in errors


async def test_choices_and_unknown_fields(service: Service) -> None:
    """The message has the words or fields that are possible, and not the one that was sent."""
    key = await service.api_key()
    fields = BODIES["PUT", "/api/v1/reward-rules/{name}"]
    good = {"trigger": "t", "beneficiary": "inviter", "amount": 5, "unit": "points"}
    for wrong, field, message in (
        ({"review": CANARY}, "review", 'Give one of "all", "flagged", "none".'),
        ({"occurs": CANARY}, "occurs", 'Give one of "every", "first", an object with at or each.'),
        ({"occurs": {CANARY: 3}}, "occurs", "Unknown field. This field takes at, each."),
        ({CANARY: 3}, "", f"Unknown field. This operation takes {', '.join(fields)}."),
    ):
        response = await key.call("PUT", "/reward-rules/wrong", json=good | wrong)
        assert refused(response, 400, "invalid_request")["errors"] == [
            {"field": field, "message": message}
        ]
        assert_no_echo(response)


async def test_the_values_of_an_enum_are_listed(service: Service) -> None:
    body = {"phone": "+79991234567", "channel": CANARY}
    response = await service.http.post("/api/v1/auth/send-code", json=body)
    assert refused(response, 400, "invalid_request")["errors"] == [
        {"field": "channel", "message": 'Give one of "sms", "telegram", "whatsapp", "voice".'}
    ]


@EVERY_BODY
async def test_other_media_types(service: Service, method: str, path: str) -> None:
    """The response is 415 for every other media type, and for none."""
    person, short = await authorized(service, path)
    body = json.dumps(BODIES[method, path]).encode()
    types = [
        "text/plain",
        "text/json",
        "application/jsonx",
        "application/problem+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/msgpack",
        "*/*",
        ";",
        "",
        CANARY,
        f"{CANARY}/{CANARY}; charset={CANARY}",
    ]
    if (method, path) != ("PATCH", "/api/v1/profile"):
        types.append("application/merge-patch+json")
    for media_type in types:
        response = await person.call(
            method,
            short,
            content=body,
            headers={"content-type": media_type},
        )
        refused(response, 415, "unsupported_media_type")
        assert_no_echo(response)
    response = await person.call(method, short, content=body)
    refused(response, 415, "unsupported_media_type")


@EVERY_BODY
async def test_media_types_of_json(service: Service, method: str, path: str) -> None:
    """Case and parameters do not matter: JSON is always UTF-8 (RFC 8259, section 8.1)."""
    person, short = await authorized(service, path)
    body = json.dumps(BODIES[method, path]).encode()
    outcomes = set()
    for media_type in (
        JSON,
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json; x=y",
    ):
        service.clock.move(seconds=3)
        response = await person.call(
            method,
            short,
            content=body,
            headers={"content-type": media_type},
        )
        code = response.json().get("code") if response.content else ""
        outcomes.add((response.status_code, code))
    assert len({status for status, _ in outcomes}) == 1
    assert outcomes.isdisjoint({(400, "invalid_request"), (415, "unsupported_media_type")})


@EVERY_BODY
async def test_bodies_over_64_kib(service: Service, method: str, path: str) -> None:
    """One byte too many is refused, announced or not; 64 KiB are accepted."""
    person, short = await authorized(service, path)
    good = json.dumps(BODIES[method, path]).encode()
    headers = {"content-type": JSON}
    whole = await person.call(method, short, content=good.ljust(LARGEST), headers=headers)
    assert whole.status_code != 413

    async def streamed(body: bytes) -> Any:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    for body in (good.ljust(LARGEST + 1), b"[" * 100_000, CANARY.encode() * 100_000):
        for content in (body, streamed(body)):
            response = await person.call(method, short, content=content, headers=headers)
            refused(response, 413, "body_too_large")
            assert_no_echo(response)


async def test_impossible_values(service: Service) -> None:
    person = await service.sign_in()
    for method, path, body, status, code in (
        ("POST", "/auth/send-code", {"phone": CANARY}, 400, "invalid_phone"),
        ("POST", "/auth/send-code", {"phone": ""}, 400, "invalid_phone"),
        ("POST", "/auth/send-code", {"phone": "9" * 60_000}, 400, "invalid_phone"),
        ("POST", "/auth/send-code", {"phone": "79991234567"}, 400, "invalid_phone"),
        ("POST", "/auth/send-code", {"phone": "+7 999 123-45-67 ext. 5"}, 400, "invalid_phone"),
        ("POST", "/auth/send-code", {"phone": "+870 773 111 632"}, 400, "unsupported_phone"),
        ("POST", "/profile/phone/send-code", {"phone": CANARY}, 400, "invalid_phone"),
        ("POST", "/profile/phone/send-code", {"phone": "+74951234567"}, 400, "unsupported_phone"),
        ("POST", "/auth/verify", {"token": CANARY, "code": "1234"}, 400, "challenge_invalid"),
        ("POST", "/auth/verify", {"token": CANARY, "code": CANARY}, 400, "challenge_invalid"),
        ("POST", "/auth/verify", {"token": "x" * 60_000, "code": "1234"}, 400, "challenge_invalid"),
        ("PUT", "/profile/phone", {"token": CANARY, "code": "1234"}, 400, "challenge_invalid"),
        ("PUT", "/profile/phone", {"token": CANARY, "code": CANARY}, 400, "challenge_invalid"),
        ("POST", "/auth/refresh", {"refresh_token": CANARY}, 401, "invalid_refresh_token"),
        ("PUT", "/profile/inviter", {"invite_code": CANARY}, 404, "unknown_invite_code"),
        ("PUT", "/profile", {"email": CANARY}, 400, "invalid_request"),
        ("PUT", "/profile", {"email": f"a@{CANARY}"}, 400, "invalid_request"),
        ("PATCH", "/profile", {"name": f"{CANARY}\nx"}, 400, "invalid_request"),
        ("PUT", "/profile", {"name": CANARY * 1000}, 400, "invalid_request"),
    ):
        response = await person.call(method, path, json=body)
        refused(response, status, code)
        assert_no_echo(response)


# Paths, methods, queries


async def test_unknown_paths(service: Service) -> None:
    person = await service.sign_in()
    for path in (
        f"/{CANARY}",
        f"/api/{CANARY}",
        "/api/v1",
        f"/api/v1/{CANARY}?{CANARY}={CANARY}",
        f"/api/v1/profile/{CANARY}",
        "/api/v1/invitations/",
        "/api/v1/invitations/a%2Fb",
        "/api/v2/profile",
        f"/docs/assets/{CANARY}",
        "/docs/assets/..%2f__init__.py",
        "/docs/assets/%00",
        "/%00",
        "/%FF",
        "/.env",
    ):
        for method in ("GET", "POST", "DELETE"):
            response = await service.http.request(method, path, content=CANARY)
            assert response.status_code in {404, 405}, (method, path)
            assert_no_echo(response)
        response = await service.get(path, authorization=f"Bearer {person.tokens['access_token']}")
        refused(response, 404, "not_found")
        assert_no_echo(response)


async def test_unsupported_methods(service: Service) -> None:
    """Every path of the document responds 405 with Allow; OPTIONS returns the same methods."""
    document = ok(await service.get("/docs/openapi.json"))
    for path, operations in document["paths"].items():
        methods = {"GET", "POST", "PUT", "PATCH", "DELETE"}
        supported = {name.upper() for name in operations} & methods
        url = path.replace("{", "").replace("}", "")
        allowed = supported | {"OPTIONS"}
        for method in {*methods, "TRACE", CANARY} - supported:
            response = await service.http.request(method, url, content=CANARY)
            refused(response, 405, "method_not_allowed")
            assert set(response.headers["allow"].split(", ")) - {"HEAD"} == allowed
            assert_no_echo(response)
        response = await service.http.options(url)
        assert (response.status_code, response.content) == (204, b"")
        assert set(response.headers["allow"].split(", ")) - {"HEAD"} == allowed, path


async def test_head_has_no_body(service: Service) -> None:
    """Neither from a path that supports GET, nor from one that does not."""
    for path in ("/api/v1/profile", "/api/v1/auth/verify", "/health/live", "/nowhere", "/"):
        response = await service.http.head(path)
        assert response.content == b""
        assert response.status_code < 500


async def test_queries_are_not_echoed(service: Service) -> None:
    person = await service.sign_in_admin()
    for query in (f"limit={CANARY}", f"cursor={CANARY}", f"limit=0&{CANARY}={CANARY}"):
        for path in (
            "/profile/invitees",
            "/sessions",
            "/users",
            "/audit",
            "/profile/rewards",
            "/rewards",
        ):
            response = await person.call("GET", f"{path}?{query}")
            refused(response, 400, "invalid_request")
            assert_no_echo(response)
    for path in (
        f"/audit?user={CANARY}",
        f"/stats?from={CANARY}",
        f"/users?search={CANARY}%00",
        f"/rewards?status={CANARY}",
        f"/rewards?unit={CANARY}.",
    ):
        response = await person.call("GET", path)
        refused(response, 400, "invalid_request")
        assert_no_echo(response)


async def test_hostile_headers(service: Service) -> None:
    """Headers with unusual or hostile values neither break anything nor are echoed."""
    person = await service.sign_in()
    body = json.dumps({"phone": new_phone()}).encode()
    for name, value in (
        ("user-agent", b"\xff\xfe\x01" + b"x" * 10_000),
        ("x-forwarded-for", b"\xff, ,,, 1.2.3.4.5, ::1%eth0" + b"," * 1000),
        ("accept", CANARY.encode()),
        ("accept-encoding", b"\xff"),
        ("host", f"{CANARY}.example".encode()),
        ("cookie", b"\xff=\xff; a"),
        ("if-none-match", b"*"),
        ("range", b"bytes=0-0"),
    ):
        service.clock.move(seconds=3)
        headers = [(b"content-type", JSON.encode()), (name.encode(), value)]
        url = "/api/v1/auth/send-code"
        response = await service.http.post(url, content=body, headers=headers)
        assert response.status_code == 200, (name, response.text)
        assert_no_echo(response)
        token = f"Bearer {person.tokens['access_token']}".encode()
        headers = [(b"authorization", token), (name.encode(), value)]
        response = await service.http.get("/api/v1/profile", headers=headers)
        assert response.status_code == 200, (name, response.text)
        assert_no_echo(response)


@pytest.mark.parametrize(
    "host", ["1:1:1", "a:b", "a:65536", "a:-1", "a:80:", "[::1", "[1:1:1]", "[zz]", "a/b", "a b"]
)
async def test_malformed_host(service: Service, host: str) -> None:
    """The framework would respond 500 to some, when it reports an invalid field."""
    headers = [(b"host", host.encode()), (b"content-type", JSON.encode())]
    path = "/api/v1/auth/send-code"
    response = await service.http.post(path, content=b"{}", headers=headers)
    refused(response, 400, "invalid_request")
    assert (await service.http.get("/health/live", headers=headers)).status_code == 400
    page = await service.http.get("/", headers=[*headers, (b"accept", b"text/html")])
    assert page.status_code == 400
    assert page.headers["content-type"].startswith("text/html")


async def test_well_formed_hosts(service: Service) -> None:
    for host in ("", "a", "a:", "a.example:65535", "127.0.0.1", "[::1]", "[::1]:80"):
        response = await service.http.get("/health/live", headers=[(b"host", host.encode())])
        assert response.status_code == 200, host


async def test_long_user_agent_is_cut(service: Service) -> None:
    """Characters that are not printable become spaces."""
    sent = await service.send_code(new_phone())
    agent = "Zoë\t" + "x" * 1000
    response = await service.http.post(
        "/api/v1/auth/verify",
        json={"token": sent["token"], "code": sent["code"]},
        headers=[(b"user-agent", agent.encode("latin-1"))],
    )
    token = ok(response)["access_token"]
    listed = ok(await service.get("/api/v1/sessions", authorization=f"Bearer {token}"))
    assert listed["items"][0]["user_agent"] == "Zoë " + "x" * 251


async def test_head_is_get_without_the_body(service: Service) -> None:
    """RFC 9110, section 9.3.2. Uptime monitors use HEAD."""
    for path in ("/health/live", "/health/ready", "/docs", "/.well-known/jwks.json"):
        head, get = await service.http.head(path), await service.http.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
    assert (await service.http.head("/api/v1/auth/send-code")).status_code == 405
    assert (await service.http.options("/health/live")).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_common_headers(database_url: str) -> None:
    """Every response has nosniff, and in production also Strict-Transport-Security."""
    production = {
        "REFERRAL_ENV": "production",
        "REFERRAL_SMS_URL": "simulated://",
        "REFERRAL_PUBLIC_URL": "https://referral.example.com",
        "REFERRAL_TRUSTED_PROXIES": "0",
    }
    paths = ("/health/live", "/docs", "/docs/openapi.json", "/nothing", "/api/v1/profile")
    async with running(database_url) as service:
        for path in paths:
            headers = (await service.http.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "strict-transport-security" not in headers
            assert "server" not in headers
    async with running(database_url, inbox=None, **production) as service:
        for path in paths:
            headers = (await service.http.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["strict-transport-security"] == "max-age=31536000"
