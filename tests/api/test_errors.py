"""Every answer that is no success: one form, a stable code, and nothing of what was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support import Person, Service, new_phone, ok, refused, running

CANARY = "QXCANARYXQ"
JSON = "application/json"
LARGEST = 64 * 1024

# A body of each operation that has one, as right as it can be without knowing a secret
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
}
EVERY_BODY = pytest.mark.parametrize(("method", "path"), BODIES)


def broken_bodies(good: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Bodies that no operation takes, each with the reason."""
    first, *_ = good
    rest = json.dumps(good)[1:].encode()
    yield "empty", b""
    yield "spaces", b"  "
    yield "cut short", b'{"' + CANARY.encode()
    yield "not JSON", CANARY.encode()
    yield "more after it", json.dumps(good).encode() + b" {}"
    yield "a comment", b"/* " + CANARY.encode() + b" */ {" + rest
    yield "single quotes", f"{{'{CANARY}': 1}}".encode()
    yield "a byte order mark", b"\xef\xbb\xbf{" + rest
    yield "UTF-16", json.dumps(good).encode("utf-16")
    yield "no UTF-8", f'{{"{first}": "{CANARY}'.encode() + b'\xff"}'
    yield "an overlong NUL", f'{{"{first}": "{CANARY}'.encode() + b'\xc0\x80"}'
    yield "a surrogate in UTF-8", f'{{"{first}": "{CANARY}'.encode() + b'\xed\xa0\x80"}'
    for half in ("\\ud800", "\\uDFFF", "\\ude00\\ud83d"):
        yield "half a surrogate pair", f'{{"{first}": "{CANARY}{half}"}}'.encode()
        yield "half a pair in a key", f'{{"{CANARY}{half}": 1, '.encode() + rest
    yield "U+0000", f'{{"{first}": "{CANARY}\\u0000"}}'.encode()
    yield "U+0000 as it is", f'{{"{first}": "{CANARY}\0"}}'.encode()
    yield "a key twice", f'{{"{first}": "{CANARY}", '.encode() + rest
    yield "a key twice, escaped", f'{{"\\u{ord(first[0]):04x}{first[1:]}": "x", '.encode() + rest
    for value in ("null", "true", "5", "-0.0", '""', f'"{CANARY}"', "[]", f'["{CANARY}"]', "[[]]"):
        yield "no object", value.encode()
    yield "objects in an array", f"[{json.dumps(good)}]".encode()
    for depth in (900, 20_000, 65_000):
        yield "deep arrays", b"[" * depth
        yield "deep arrays, closed", b"[" * (depth // 2) + b"]" * (depth // 2)
    yield "deep objects", b'{"a":' * 10_000
    yield "deep in a field", f'{{"{first}": '.encode() + b"[" * 30_000 + b"]" * 30_000 + b"}"
    yield "deep in an unknown field", b'{"x": ' + b"[" * 30_000 + b"]" * 30_000 + b", " + rest
    yield "an unknown field", f'{{"{CANARY}": 1, '.encode() + rest
    yield "an unknown field with a dot", f'{{"a.{CANARY}`$": 1, '.encode() + rest
    yield "an unknown field without a name", b'{"": 1, ' + rest
    for constant in ("NaN", "Infinity", "-Infinity", "nan"):
        yield "no number of JSON", f'{{"{first}": {constant}}}'.encode()
        yield "no number, unknown field", f'{{"x": {constant}, '.encode() + rest
    for field, right in good.items():
        start = json.dumps({name: value for name, value in good.items() if name != field})[:-1]
        start += ", " if len(good) > 1 else ""
        wrong = ["5", "1e400", "-1", "9" * 60_000, "1" * 30, "1.5", "true", "[]", "{}"]
        wrong += [f'["{CANARY}"]', f'{{"{CANARY}": 1}}']
        if field in required(good):
            wrong.append("null")
        if isinstance(right, bool):
            wrong.remove("true")
        for value in wrong:
            yield f"{field} of another type", f'{start}"{field}": {value}}}'.encode()


def required(good: dict[str, Any]) -> set[str]:
    """The fields that may not be missing: an invite code may, where a challenge token is."""
    optional = {"device_token", "name", "email", "is_blocked", "is_admin"}
    optional |= {"invite_code"} if "token" in good else set()
    return good.keys() - optional


async def asker(service: Service, path: str) -> tuple[Person, str]:
    """Who may use an operation, and its path with the id of a user who exists."""
    person = await service.sign_in()
    short = path.removeprefix("/api/v1").replace("{user_id}", person.id())
    return (await service.api_key() if "{user_id}" in path else person), short


def no_echo(response: httpx.Response) -> None:
    told = response.text + str(response.headers)
    assert CANARY.lower() not in told.lower()


# Bodies


async def test_every_operation_with_a_body_is_tried(service: Service) -> None:
    """The document says which there are; an operation that this file does not know fails here."""
    document = ok(await service.get("/docs/openapi.json"))
    with_body = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
    }
    assert with_body == set(BODIES)


@EVERY_BODY
async def test_broken_bodies(service: Service, method: str, path: str) -> None:
    """400 with `errors`, whatever it is; the answer is short and repeats nothing."""
    person, short = await asker(service, path)
    for why, body in broken_bodies(BODIES[method, path]):
        response = await person.call(method, short, content=body, headers={"content-type": JSON})
        assert response.status_code == 400, (why, body[:80], response.text)
        problem = refused(response, 400, "invalid_request")
        assert problem["errors"], why
        assert all(error.keys() == {"field", "message"} for error in problem["errors"])
        assert len(response.content) < 1000
        no_echo(response)


@EVERY_BODY
async def test_required_fields(service: Service, method: str, path: str) -> None:
    """Each field that may not be missing is named when it is."""
    good = BODIES[method, path]
    person, short = await asker(service, path)
    for field in required(good):
        body = {name: value for name, value in good.items() if name != field}
        response = await person.call(method, short, json=body)
        errors = refused(response, 400, "invalid_request")["errors"]
        assert {"field": field, "message": "Required."} in errors


@EVERY_BODY
async def test_bodies_that_are_not_json(service: Service, method: str, path: str) -> None:
    """415 for every other media type, and for none."""
    person, short = await asker(service, path)
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
        no_echo(response)
    response = await person.call(method, short, content=body)
    refused(response, 415, "unsupported_media_type")


@EVERY_BODY
async def test_media_types_of_json(service: Service, method: str, path: str) -> None:
    """In any case, with or without parameters: JSON is UTF-8 whatever they say (RFC 8259)."""
    person, short = await asker(service, path)
    body = json.dumps(BODIES[method, path]).encode()
    answers = set()
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
        answers.add((response.status_code, response.json().get("code") if response.content else ""))
    assert len({status for status, _ in answers}) == 1
    assert answers.isdisjoint({(400, "invalid_request"), (415, "unsupported_media_type")})


@EVERY_BODY
async def test_bodies_over_64_kib(service: Service, method: str, path: str) -> None:
    """One byte over, announced or not; at the limit it is still read."""
    person, short = await asker(service, path)
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
            no_echo(response)


async def test_values_that_cannot_be(service: Service) -> None:
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
        no_echo(response)


# Paths, methods, queries


async def test_paths_that_lead_nowhere(service: Service) -> None:
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
            no_echo(response)
        response = await service.get(path, authorization=f"Bearer {person.tokens['access_token']}")
        refused(response, 404, "not_found")
        no_echo(response)


async def test_methods_that_a_path_does_not_have(service: Service) -> None:
    """405 with Allow, on every path of the document; OPTIONS says the same."""
    document = ok(await service.get("/docs/openapi.json"))
    for path, operations in document["paths"].items():
        has = {name.upper() for name in operations} & {"GET", "POST", "PUT", "PATCH", "DELETE"}
        url = path.replace("{", "").replace("}", "")
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", CANARY} - has:
            response = await service.http.request(method, url, content=CANARY)
            refused(response, 405, "method_not_allowed")
            assert set(response.headers["allow"].split(", ")) - {"HEAD"} == has | {"OPTIONS"}
            no_echo(response)
        response = await service.http.options(url)
        assert (response.status_code, response.content) == (204, b"")
        assert set(response.headers["allow"].split(", ")) - {"HEAD"} == has | {"OPTIONS"}, path


async def test_head_has_no_body(service: Service) -> None:
    """Whether or not the path takes it."""
    for path in ("/api/v1/profile", "/api/v1/auth/verify", "/health/live", "/nowhere", "/"):
        response = await service.http.head(path)
        assert response.content == b""
        assert response.status_code < 500


async def test_queries_are_not_repeated(service: Service) -> None:
    person = await service.sign_in_admin()
    for query in (f"limit={CANARY}", f"cursor={CANARY}", f"limit=0&{CANARY}={CANARY}"):
        for path in ("/profile/invitees", "/sessions", "/users", "/audit"):
            response = await person.call("GET", f"{path}?{query}")
            refused(response, 400, "invalid_request")
            no_echo(response)
    for path in (f"/audit?user={CANARY}", f"/stats?from={CANARY}", f"/users?search={CANARY}%00"):
        response = await person.call("GET", path)
        refused(response, 400, "invalid_request")
        no_echo(response)


async def test_hostile_headers(service: Service) -> None:
    """What a client writes about itself is neither believed nor able to break anything."""
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
        no_echo(response)
        token = f"Bearer {person.tokens['access_token']}".encode()
        headers = [(b"authorization", token), (name.encode(), value)]
        response = await service.http.get("/api/v1/profile", headers=headers)
        assert response.status_code == 200, (name, response.text)
        no_echo(response)


async def test_a_long_user_agent_signs_in(service: Service) -> None:
    """It is cut, and what does not print becomes a space."""
    sent = await service.send_code(new_phone())
    agent = "Zoë\t" + "x" * 1000
    response = await service.http.post(
        "/api/v1/auth/verify",
        json={"token": sent["token"], "code": sent["code"]},
        headers=[(b"user-agent", agent.encode("latin-1"))],
    )
    token = ok(response)["access_token"]
    listed = ok(await service.get("/api/v1/sessions", authorization=f"Bearer {token}"))
    kept = listed["items"][0]["user_agent"]
    assert kept == "Zoë " + "x" * 251


async def test_head_is_get_without_the_body(service: Service) -> None:
    """RFC 9110, section 9.3.2: as uptime monitors ask."""
    for path in ("/health/live", "/health/ready", "/docs", "/.well-known/jwks.json"):
        head, get = await service.http.head(path), await service.http.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
    refused_head = await service.http.head("/api/v1/auth/send-code")
    assert refused_head.status_code == 405
    assert (await service.http.options("/health/live")).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_every_answer_says_nosniff_and_in_production_https_alone(database_url: str) -> None:
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
