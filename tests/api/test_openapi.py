"""The OpenAPI document is valid and complete, and the service does what it says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import httpx
import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from schemathesis.specs.openapi.definitions import OPENAPI_31

from processes import Server, new_database, referral, serving
from referral.app import create_app
from support import Clock, Inbox, Person, Service, new_phone, ok, refused, running, settings_for

EXAMPLES = 10
# With the headers, 1.5 round trips and 0.5 s at 400 kbit/s
MAX_DOCS_BYTES = 30_000
PROBLEM = "application/problem+json"
# They end the session that calls them
ENDING = ("deleteProfile", "endAllSessions")
# All other operations need a token
PUBLIC = {
    "sendCode",
    "verify",
    "refresh",
    "logout",
    "getInvitation",
    "getKeys",
    "isLive",
    "isReady",
    "getProvider",
    "getAuthorizationServer",
    "authorize",
    "authorizeByPost",
    "signOutForApp",
    "signOutForAppByPost",
    # Providers sign their requests
    "receiveDeliveryReport",
    "confirmWebhook",
}
# For the backend of an app, which has an API key
OF_KEYS = {"postEvent", "reverseEvent", "redeem", "reverseRedemption"}
# These authenticate a client
OF_CLIENTS = {"getTokens", "revokeToken"}
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


# API keys by the URL of their server
KEYS: dict[str, str] = {}


@pytest.fixture(scope="module")
async def document() -> dict[str, Any]:
    """The document, as served. No database is needed."""
    app = create_app(settings_for("sqlite://unused.sqlite3"))
    transport = httpx.ASGITransport(cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        return ok(await http.get("/docs/openapi.json"))


@pytest.fixture(scope="module")
async def server(
    database_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Server]:
    """A server in a process of its own, on a database of its own."""
    folder = tmp_path_factory.mktemp("openapi")
    url = await new_database(database_kind, folder, request)
    with serving(folder, DATABASE_URL=url) as started:
        created = referral(folder, "key", "new", "tests", DATABASE_URL=url)
        assert created.returncode == 0, created.stderr
        KEYS[started.url] = created.stdout.strip()
        yield started


@pytest.fixture
async def people(server: Server) -> AsyncIterator[Service]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        yield Service(http, Clock(), Inbox())


def test_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    errors = jsonschema_rs.Draft202012Validator(OPENAPI_31).iter_errors(document)
    assert [str(error) for error in errors] == []


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    """Each has a unique id, a summary, a described tag and a success response."""
    found = [operation for _, _, operation in operations(document)]
    ids = [operation["operationId"] for operation in found]
    assert len(set(ids)) == len(ids) > 20
    tags = {tag["name"] for tag in document["tags"]}
    for operation in found:
        assert operation["summary"]
        assert set(operation["tags"]) <= tags
        assert operation["tags"]
        assert any(status.startswith(("2", "3")) for status in operation["responses"])


def test_every_operation_documents_its_errors(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        if not path.startswith("/api/"):
            continue
        errors = {
            status: response
            for status, response in operation["responses"].items()
            if status >= "400"
        }
        expected = {"503"}
        if "requestBody" in operation:
            expected |= {"400", "413", "415"}
        if "security" in operation:
            expected |= {"401", "403"}
        assert expected <= errors.keys(), operation["operationId"]
        for response in errors.values():
            assert list(response["content"]) == [PROBLEM], operation["operationId"]
            assert response["content"][PROBLEM]["examples"], operation["operationId"]


def test_examples_match_their_schemas(document: dict[str, Any]) -> None:
    """Every body has a complete example: its own, or one for each required field."""
    for path, _, operation in operations(document):
        if path.startswith("/oauth/"):
            continue
        for response in operation["responses"].values():
            problem = response.get("content", {}).get(PROBLEM, {})
            for example in problem.get("examples", {}).values():
                validate(document, problem["schema"], example["value"], operation["operationId"])
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for example in body_examples(document, content):
                validate(document, content["schema"], example, operation["operationId"])


def test_schemas_of_bodies_forbid_unknown_fields(document: dict[str, Any]) -> None:
    """Except under /oauth/, where the standards say that they are ignored."""
    for path, _, operation in operations(document):
        if path.startswith("/oauth/"):
            continue
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = resolved(document, content["schema"])
            assert schema.get("additionalProperties") is False, operation["operationId"]


def test_merge_patch_has_both_media_types(document: dict[str, Any]) -> None:
    body = document["paths"]["/api/v1/profile"]["patch"]["requestBody"]
    assert set(body["content"]) == {"application/json", "application/merge-patch+json"}


async def test_security_is_as_documented(service: Service) -> None:
    """Exactly the operations with `security` need a token."""
    document = ok(await service.get("/docs/openapi.json"))
    for scheme in document["components"]["securitySchemes"].values():
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, method, operation in operations(document):
        if operation["operationId"] in OF_CLIENTS:
            continue
        secured = operation.get("security") == schemes(operation)
        assert secured is (operation["operationId"] not in PUBLIC), operation["operationId"]
        response = await service.http.request(method, re.sub(r"\{.*?\}", "AAAAAA", path))
        if secured and path.startswith("/oauth/"):
            assert (response.status_code, response.json()["error"]) == (401, "invalid_token")
        elif secured:
            refused(response, 401, "unauthorized")
        else:
            assert response.status_code != 401, operation["operationId"]


def schemes(operation: dict[str, Any]) -> list[dict[str, list[str]]]:
    """Return what an operation that needs a token accepts."""
    if operation["operationId"] in OF_KEYS:
        return [{"api_key": []}]
    keyed = {"Administration", "Rewards"} & set(operation["tags"])
    if keyed and operation["operationId"] != "listOwnRewards":
        return [{"bearer": []}, {"api_key": []}]
    return [{"bearer": []}]


async def test_docs_list_every_operation(service: Service, document: dict[str, Any]) -> None:
    """The list needs no script or file, and is short enough for 2 s at 400 kbit/s and 400 ms."""
    page = await service.get("/docs", **{"accept-encoding": "gzip"})
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-encoding"] == "gzip"
    assert int(page.headers["content-length"]) < MAX_DOCS_BYTES
    assert not re.search(r"<script| src=|<link (?!rel=.icon)|url\((?!#)", page.text)
    assert "unsafe" not in page.headers["content-security-policy"]
    for path, method, operation in operations(document):
        assert f">{method.upper()}</b> <code>{path}</code>" in page.text
        assert f'id="{operation["operationId"]}"' in page.text
    links = set(re.findall(r'href="#([^"]+)"', page.text))
    assert links - {"main"} <= set(re.findall(r' id="([^"]+)"', page.text))


async def test_docs_have_the_name_and_address_of_the_app(database_url: str) -> None:
    names: Any = {"REFERRAL_APP_NAME": "A & <i>", "REFERRAL_PUBLIC_URL": "https://example.com"}
    async with running(database_url, **names) as service:
        for path in ("/docs", "/docs/try"):
            page = (await service.get(path)).text
            assert "A &amp; &lt;i&gt;" in page
            assert "<i>" not in page
        assert "<code>https://example.com</code>" in (await service.get("/docs")).text


@pytest.mark.parametrize("accepted", ["br, gzip;q=0.5", "gzip; q=0.0"])
@pytest.mark.parametrize("path", ["", "/try", "/openapi.json", "/assets/swagger-ui.css"])
async def test_docs_are_compressed_if_accepted(service: Service, path: str, accepted: str) -> None:
    plain = await service.get(f"/docs{path}", **{"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    response = await service.get(f"/docs{path}", **{"accept-encoding": accepted})
    assert response.content == plain.content
    assert response.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    is_small = int(response.headers["content-length"]) < len(plain.content)
    is_expected = accepted == "br, gzip;q=0.5"
    assert (response.headers.get("content-encoding") == "gzip") is is_expected is is_small


async def test_docs_page_to_try_loads_only_from_our_origin(service: Service) -> None:
    page = await service.get("/docs/try")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in page.text
    loaded = re.findall(r'(?:src|href)="(/docs/assets/[^"]+)"', page.text)
    assert len(loaded) == 4
    for path in loaded:
        assert (await service.get(path)).status_code == 200
    script = (await service.get("/docs/assets/page.js")).text
    assert "//" not in script
    assert 'url: "/docs/openapi.json"' in script
    assert "persistAuthorization: false" in script


async def test_successful_responses_match_document(server: Server, people: Service) -> None:
    """Every operation is called so that it succeeds.

    tests/openid/ does the same for apps, tests/messaging/ for providers.
    """
    schema = load(server)
    done = set()

    def succeed(
        operation_id: str,
        status: int,
        *,
        by: Person | None = None,
        body: dict[str, Any] | None = None,
        path: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        operation = schema.find_operation_by_id(operation_id)
        given_body = {} if body is None else {"body": body, "media_type": "application/json"}
        case = operation.Case(path_parameters=path or {}, **given_body)
        response = case.call(headers=bearer(by))
        assert response.status_code == status, f"{operation_id}: {response.text}"
        case.validate_response(response, checks=CHECKS)
        done.add(operation_id)
        is_json = "json" in response.headers.get("content-type", ["-"])[0]
        found: dict[str, Any] = response.json() if is_json else {}
        return found

    inviter, person, moving = [await people.sign_in() for _ in range(3)]
    first, again = [await people.send_code(new_phone()) for _ in range(2)]
    moved = ok(await moving.call("POST", "/profile/phone/send-code", json={"phone": new_phone()}))
    sessions = ok(await moving.call("GET", "/sessions"))["items"]
    code = await inviter.invite_code()
    succeed("sendCode", 200, body={"phone": new_phone()})
    succeed("verify", 201, body={**proof(first), "invite_code": code})
    again = await people.send_code(first["phone"])
    succeed("verify", 200, body=proof(again))
    succeed("getProfile", 200, by=person)
    succeed("replaceProfile", 200, by=person, body={"name": "Anna", "email": None})
    succeed("patchProfile", 200, by=person, body={"email": "anna@example.com"})
    succeed("activateInvite", 200, by=person, body={"invite_code": code})
    succeed("listInvitees", 200, by=inviter)
    succeed("getInvitation", 200, path={"invite_code": code})
    for operation_id in ("getInviteSvg", "getInvitePng", "listSessions"):
        succeed(operation_id, 200, by=person)
    succeed("sendPhoneCode", 200, by=person, body={"phone": new_phone()})
    succeed("changePhone", 200, by=moving, body=proof(moved))
    succeed("endSession", 204, by=moving, path={"session_id": sessions[0]["id"]})
    succeed("refresh", 200, body={"refresh_token": person.tokens["refresh_token"]})
    succeed("logout", 204, body={"refresh_token": "unknown"})
    succeed("endAllSessions", 204, by=person)
    succeed("deleteProfile", 204, by=inviter)
    key = program(server, people)
    third = {"user_id": await succeed_with_rewards(succeed, key, people)}
    succeed("listUsers", 200, by=key)
    succeed("getUser", 200, by=key, path=third)
    succeed("changeUser", 200, by=key, path=third, body={"is_blocked": True})
    succeed("listUserInvitees", 200, by=key, path=third)
    succeed("voidActivation", 204, by=key, path=third)
    succeed("deleteUser", 204, by=key, path=third)
    succeed("getStats", 200, by=key)
    succeed("listAudit", 200, by=key)
    for operation_id in ("getKeys", "isLive", "isReady"):
        succeed(operation_id, 200)
    every = {
        operation["operationId"]
        for _, _, operation in operations(schema.raw_schema)
        if not {"OpenID Connect", "Delivery reports"} & set(operation["tags"])
    }
    assert done == every, f"call with succeed() here: {every - done}"


async def succeed_with_rewards(
    succeed: Callable[..., dict[str, Any]], key: Person, people: Service
) -> str:
    """Call every operation of rewards. Return the id of an invitee, whose orders earn points."""
    inviter = await people.sign_in()
    invitee = await people.sign_in(invite_code=await inviter.invite_code())
    rule = {"trigger": "order", "beneficiary": "inviter", "amount": 500, "unit": "points"}
    for occurs in ("every", "first", {"at": 3}, {"each": 3}):
        name = {"name": f"order-{occurs if isinstance(occurs, str) else next(iter(occurs))}"}
        body = {**rule, "occurs": occurs, "review": "all", "hold_days": 1}
        assert succeed("putRewardRule", 201, by=key, path=name, body=body)["occurs"] == occurs
        body["hold_days"] = 0
        assert succeed("putRewardRule", 200, by=key, path=name, body=body)["version"] == 2
        if occurs != "every":
            succeed("deleteRewardRule", 204, by=key, path=name)
    succeed("listRewardRules", 200, by=key)
    of_inviter, entries = {"user_id": inviter.id()}, []
    for order in ("o-1", "o-2"):
        event = {"event_id": order, "type": "order", "user_id": invitee.id(), "value": 100}
        entries += succeed("postEvent", 201, by=key, body=event)["rewards"]
        succeed("postEvent", 200, by=key, body=event)
    succeed("approveReward", 200, by=key, path={"entry_id": entries[0]["id"]})
    succeed("rejectReward", 200, by=key, path={"entry_id": entries[1]["id"]})
    redemption = {"redemption_id": "r-1", "unit": "points", "amount": 100}
    succeed("redeem", 201, by=key, path=of_inviter, body=redemption)
    succeed("redeem", 200, by=key, path=of_inviter, body=redemption)
    succeed("reverseRedemption", 200, by=key, path={"redemption_id": "r-1"})
    reason = {"reason": "refund"}
    succeed("reverseEvent", 200, by=key, path={"event_id": "o-1"}, body=reason)
    succeed("listOwnRewards", 200, by=inviter)
    succeed("listUserRewards", 200, by=key, path=of_inviter)
    succeed("listRewards", 200, by=key)
    return invitee.id()


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: f"{mode.value} data")
@pytest.mark.parametrize("who", ["anonymous", "signed in", "API key"])
async def test_every_response_is_documented(
    server: Server, people: Service, mode: GenerationMode, who: str
) -> None:
    """Valid and invalid requests get only documented responses, and never a 5xx from a bug."""
    person = await people.sign_in() if who == "signed in" else None
    key = program(server, people) if who == "API key" else None
    await asyncio.to_thread(fuzz, load(server), mode, person or key)
    if person is not None:
        assert (await person.profile())["phone"] == person.phone


def fuzz(schema: Any, mode: GenerationMode, person: Person | None) -> None:
    """Send many requests to each operation, the same ones in every run."""
    problems, unsatisfiable = [], []
    for found in schema.get_all_operations():
        operation = found.ok()
        if person is not None and operation.definition.raw["operationId"] in ENDING:
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def conforms(case: Case[Any]) -> None:
            response = case.call(headers=bearer(person))
            case.validate_response(response, checks=CHECKS)

        try:
            conforms()
        except Unsatisfiable:
            unsatisfiable.append(operation)
        except Exception as error:  # noqa: BLE001 - every operation is tried, all are reported
            problems.append(f"{operation.label}: {error!r}")
    assert problems == []
    # An operation without a JSON body, whose parameters may be any text, has no invalid request
    assert not any(
        mode is GenerationMode.POSITIVE
        or (operation.body and not operation.path.startswith("/oauth/"))
        for operation in unsatisfiable
    )


def load(server: Server) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/docs/openapi.json")


def bearer(person: Person | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {person.tokens['access_token']}"} if person else {}


def program(server: Server, people: Service) -> Person:
    """Return a client with the server's API key."""
    return Person(people.http, "", {"access_token": KEYS[server.url]}, is_new=False)


def proof(sent: dict[str, Any]) -> dict[str, str]:
    """Return the challenge and the code of a response of send-code."""
    return {"token": sent["token"], "code": sent["code"]}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema["$ref"].removeprefix("#/components/schemas/")
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def body_examples(document: dict[str, Any], content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the examples of a body, or one composed of its fields' examples."""
    if "examples" in content:
        return [example["value"] for example in content["examples"].values()]
    if "example" in content:
        return [content["example"]]
    schema = resolved(document, content["schema"])
    assert all(
        schema["properties"][field].get("examples") for field in schema.get("required", ())
    ), schema["title"]
    return [
        {
            name: field["examples"][0]
            for name, field in schema["properties"].items()
            if field.get("examples")
        }
    ]


def validate(
    document: dict[str, Any], schema: dict[str, Any], value: object, operation_id: str
) -> None:
    whole = {**schema, "components": document["components"]}
    errors = jsonschema_rs.Draft202012Validator(whole).iter_errors(value)
    assert [str(error) for error in errors] == [], operation_id
