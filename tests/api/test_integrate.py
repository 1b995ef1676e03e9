"""The examples of docs/integrate.md, run against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from examples import EXAMPLES, NODE, NODE_MODULES, PUBLIC
from processes import Server, environment, free_port, serving, stop
from support import Clock, Inbox, Service, new_phone, ok, refused

ORIGIN = "https://shop.example.com"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

Runner = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is reached at its public URL, so the issuer of its tokens is that URL too."""
    with serving(
        tmp_path_factory.mktemp("integrate"),
        REFERRAL_CORS_ORIGINS=ORIGIN,
        REFERRAL_INVITE_URL=f"{ORIGIN}/welcome?code={{code}}",
    ) as started:
        yield started


@pytest.fixture
async def service(server: Server) -> AsyncIterator[Service]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        yield Service(http, Clock(), Inbox())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a program, with the packages that the examples need."""
    assert NODE_MODULES.exists(), "run `make tests/integrate/node_modules/.done` first"
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    return tmp_path


def example(name: str, server: Server, folder: Path, *, then: str = "") -> Path:
    """Write an example for this server to a file. then: the code that uses it."""
    file = folder / name
    file.write_text(EXAMPLES[name].replace(PUBLIC, server.url) + then)
    return file


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(cwd, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def output_of(*command: str | Path, cwd: Path) -> str:
    """Run a program that succeeds, and return its output."""
    finished = run(*command, cwd=cwd)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout.strip()


CHECKS: dict[str, tuple[str | Path, str]] = {
    "tokens.py": (sys.executable, "\nimport sys\nprint(user_id(sys.argv[1]))\n"),
    "tokens.mjs": (NODE, "\nconsole.log(await userId(process.argv[2]));\n"),
}


@pytest.mark.parametrize("name", CHECKS)
async def test_other_service_verifies_access_tokens(
    name: str, service: Service, server: Server, folder: Path
) -> None:
    """It accepts a valid token, and refuses an altered one and another kind of token."""
    interpreter, then = CHECKS[name]
    file = example(name, server, folder, then=then)
    person = await service.sign_in()
    token = person.tokens["access_token"]
    assert await asyncio.to_thread(output_of, interpreter, file, token, cwd=folder) == person.id()
    altered = token[:-5] + ("AAAAA" if token[-5:] != "AAAAA" else "BBBBB")
    for bad in (altered, person.tokens["device_token"]):
        finished = await asyncio.to_thread(run, interpreter, file, bad, cwd=folder)
        assert finished.returncode != 0
        assert person.id() not in finished.stdout


# Code that sets the program's clock ahead, by the seconds in its second argument
CLOCKS = {
    "tokens.py": """
import datetime, sys
import jwt.api_jwt
class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=float(sys.argv[2]))
jwt.api_jwt.datetime = Shifted
""",
    "tokens.mjs": """
const Real = Date;
globalThis.Date = class extends Real {
  constructor(...given) {
    if (given.length) super(...given);
    else super(Real.now() + 1000 * Number(process.argv[3]));
  }
};
""",
}


@pytest.mark.parametrize("name", CHECKS)
async def test_verifier_tolerates_clock_skew(
    name: str, service: Service, server: Server, folder: Path
) -> None:
    """Some seconds in either direction do not matter; an hour does."""
    interpreter, then = CHECKS[name]
    file = example(name, server, folder, then=CLOCKS[name] + then)
    person = await service.sign_in()
    token = person.tokens["access_token"]
    for ahead in ("-20", "-1", "0", "20"):
        output = await asyncio.to_thread(output_of, interpreter, file, token, ahead, cwd=folder)
        assert output == person.id()
    for ahead in ("-3600", "960"):
        finished = await asyncio.to_thread(run, interpreter, file, token, ahead, cwd=folder)
        # A verifier may accept a token issued in the future, as jose does
        assert (finished.returncode != 0) or (ahead == "-3600" and name == "tokens.mjs")


@pytest.mark.parametrize("name", ["receiver.py", "receiver.mjs"])
def test_three_invitations_are_rewarded_once(name: str, server: Server, folder: Path) -> None:
    """Repeated deliveries do not count again, and events with another signature not at all."""
    file = example(name, server, folder)
    interpreter = sys.executable if name.endswith(".py") else str(NODE)
    with receiving([interpreter, str(file)], folder) as url:
        anna, boris = "a" * 36, "b" * 36
        messages = [activated(anna, count) for count in (1, 2, 3, 4)] + [activated(boris, 2)]
        for number, message in enumerate(messages):
            assert deliver(url, message, f"msg_{number}") == 204
        # A repeated delivery, and the third invitation after it was voided and activated again
        assert deliver(url, activated(anna, 3), "msg_2") == 204
        assert deliver(url, activated(anna, 3), "msg_9") == 204
        assert deliver(url, {"type": "user.deleted", "data": {"user_id": boris}}, "msg_10") == 204
        forged = Webhook("whsec_" + "A" * 32)
        assert deliver(url, activated(boris, 3), "msg_11", signer=forged) == 400
    assert rewarded(folder) == [anna]


def activated(inviter_id: str, count: int) -> dict[str, Any]:
    return {
        "type": "invite.activated",
        "timestamp": "2026-01-31T12:00:00Z",
        "data": {
            "user_id": "c" * 36,
            "phone": "+79990000002",
            "inviter_id": inviter_id,
            "inviter_phone": "+79990000001",
            "invite_code": "7KQ2MX",
            "inviter_invitee_count": count,
        },
    }


def deliver(
    url: str, message: dict[str, Any], webhook_id: str, signer: Webhook | None = None
) -> int:
    """Deliver an event, signed as by the service, and return the status of the response."""
    body = json.dumps(message)
    now = datetime.now(UTC)  # noqa: TID251 - the receiver compares it with its own clock
    signature = (signer or Webhook(WEBHOOK_SECRET)).sign(webhook_id, now, body)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    return httpx.post(url, content=body, headers=headers).status_code


def rewarded(folder: Path) -> list[str]:
    """Return the ids of rewarded users, from the receiver's database or its output."""
    database = folder / "rewards.sqlite3"
    if database.exists():
        with closing(sqlite3.connect(database)) as rewards:
            return [user_id for (user_id,) in rewards.execute("SELECT user_id FROM rewards")]
    return re.findall(r"a reward for (\w+)", (folder / "receiver.log").read_text())


@contextmanager
def receiving(command: list[str], folder: Path) -> Iterator[str]:
    """Run a receiver until the block ends, and return its URL."""
    port = free_port()
    env = environment(folder, PORT=str(port), WEBHOOK_SECRET=WEBHOOK_SECRET)
    log = folder / "receiver.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=output)
    try:
        transport = httpx.HTTPTransport(retries=8)
        with httpx.Client(transport=transport) as http:
            http.post(f"http://127.0.0.1:{port}", content=b"{}")
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


LANDING = """
const [phone, inviteCode, later] = process.argv.slice(2);
const { inviter_name } = await invitation(inviteCode);
if ((await invitation("ZZZZZZ")) !== null) throw new Error("nobody has this code");
const sent = await sendCode(phone);
const { profile } = await signIn(sent, sent.code, inviteCode);
const again = await sendCode(phone);
const signedIn = await signIn(again, again.code, later);
console.log(JSON.stringify({ inviter_name, profile, again: signedIn.profile }));
"""


async def test_landing_page_signs_in_with_invite_code(
    service: Service, server: Server, folder: Path
) -> None:
    """An invite code that the rules refuse does not prevent the sign-in."""
    inviter, other = await service.sign_in(), await service.sign_in()
    ok(await inviter.call("PATCH", "/profile", json={"name": "Anna"}))
    profile = await inviter.profile()
    code = profile["invite_code"]
    assert profile["invite_link"] == f"{ORIGIN}/welcome?code={code}"
    file = example("landing.mjs", server, folder, then=LANDING)
    phone, refused_code = new_phone(), await other.invite_code()
    output = await asyncio.to_thread(output_of, NODE, file, phone, code, refused_code, cwd=folder)
    result = json.loads(output)
    assert result["inviter_name"] == "Anna"
    assert result["profile"]["activated_invite_code"] == code
    assert result["again"]["activated_invite_code"] == code
    assert (await inviter.profile())["invitees"] == [phone]


TROUBLE = """
const [phone, inviteCode] = process.argv.slice(2);
const real = globalThis.fetch;
const planned = [];
const sentBodies = [];
globalThis.fetch = (url, options) => {
  sentBodies.push(JSON.parse(options?.body ?? "{}"));
  const respond = planned.shift();
  return respond ? respond() : real(url, options);
};
const problem = (status, code, headers, members) => () =>
  Promise.resolve(Response.json({ status, code, detail: code, ...members }, { status, headers }));
const overloaded = problem(503, "overloaded", { "Retry-After": "1" });
const broken = () => Promise.reject(new TypeError("fetch failed"));

planned.push(broken);
if ((await invitation(inviteCode)) !== null) throw new Error("no connection");
planned.push(problem(429, "too_many_requests", { "Retry-After": "60" }));
if ((await invitation(inviteCode)) !== null) throw new Error("too many");

planned.push(overloaded);
const sent = await sendCode(phone);
planned.push(problem(429, "too_many_requests", { "Retry-After": "60" }), overloaded);
const signedIn = await signIn(sent, sent.code, inviteCode);
const withInviteCode = "invite_code" in sentBodies.at(-1);

const errors = [];
for (const respond of [
  problem(429, "too_many_requests", { "Retry-After": "60" }),
  () => Promise.resolve(new Response("<h1>Bad gateway</h1>", { status: 502 })),
]) {
  planned.push(respond);
  await sendCode(phone).catch(({ code, detail }) => errors.push([code, detail]));
}
planned.push(overloaded, overloaded, overloaded);
await sendCode(phone).catch(({ code }) => errors.push(code));
const elsewhere = { other_channels: ["voice"] };
planned.push(problem(503, "sms_unavailable", { "Retry-After": "60" }, elsewhere));
await sendCode(phone, "sms").catch(({ other_channels }) => errors.push(other_channels));
if (sentBodies.at(-1).channel !== "sms") throw new Error("no channel");
console.log(JSON.stringify({ profile: signedIn.profile, withInviteCode, errors }));
"""


async def test_landing_page_signs_in_despite_errors(
    service: Service, server: Server, folder: Path
) -> None:
    """Too many invite codes from this address, overload, a proxy's error page, no connection."""
    inviter = await service.sign_in()
    file = example("landing.mjs", server, folder, then=TROUBLE)
    phone, code = new_phone(), await inviter.invite_code()
    result = json.loads(await asyncio.to_thread(output_of, NODE, file, phone, code, cwd=folder))
    assert result["profile"]["phone"] == phone
    assert result["withInviteCode"] is False
    too_many, bad_gateway, overloaded, other_channels = result["errors"]
    assert too_many[0] == "too_many_requests"
    assert bad_gateway[0] == "unknown"
    assert bad_gateway[1]
    assert overloaded == "overloaded"
    assert other_channels == ["voice"]


async def test_only_the_allowed_origin_may_call_the_api(service: Service) -> None:
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://other.example.com", None)):
        preflight = await service.http.options(
            "/api/v1/auth/verify",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type",
            },
        )
        assert preflight.headers.get("access-control-allow-origin") == allowed
        response = await service.get("/api/v1/invitations/ZZZZZZ", Origin=origin)
        refused(response, 404, "unknown_invite_code")
        assert response.headers.get("access-control-allow-origin") == allowed


CLIENT = """
import sys

client = sign_in(sys.argv[1], lambda sent: sent.code)
assert profile(client).activated_invite_code is None
try:
    activate(client, "ZZZZZZ")
except ValueError as error:
    assert "code" in str(error)
assert activate(client, sys.argv[2]).activated_invite_code == sys.argv[2]
print(profile(client).phone)
"""


async def test_generated_python_client_works(
    service: Service, server: Server, folder: Path
) -> None:
    """It is generated from the document as served, without warnings of the generator."""
    inviter, phone = await service.sign_in(), new_phone()
    code = await inviter.invite_code()
    example("config.yaml", server, folder)
    generate = example("generate.sh", server, folder)
    generate.write_text(generate.read_text().strip() + " --fail-on-warning\n")
    await asyncio.to_thread(output_of, "sh", generate, cwd=folder)
    file = example("client.py", server, folder, then=CLIENT)
    output = await asyncio.to_thread(output_of, sys.executable, file, phone, code, cwd=folder)
    assert output == phone
    assert (await inviter.profile())["invitees"] == [phone]


JOIN = """
declare const process: { argv: string[] };
const [phone, inviteCode] = process.argv.slice(2) as [string, string];
console.log((await join(phone, inviteCode)).activated_invite_code);
"""


async def test_generated_typescript_client_works(
    service: Service, server: Server, folder: Path
) -> None:
    """It compiles under --strict, except when it uses a field that does not exist."""
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    types = example("types.sh", server, folder)
    cli = f"{NODE} node_modules/openapi-typescript/bin/cli.js"
    script = types.read_text().replace("npx openapi-typescript", cli)
    types.write_text(script)
    await asyncio.to_thread(output_of, "sh", types, cwd=folder)
    tsc: list[str | Path] = [
        *(NODE, "node_modules/typescript/bin/tsc", "--strict", "--noEmit"),
        *("--target", "es2022", "--module", "nodenext", "--allowImportingTsExtensions"),
    ]
    (folder / "package.json").write_text('{"type": "module"}')
    file = example("client.ts", server, folder, then=JOIN)
    await asyncio.to_thread(output_of, *tsc, file, cwd=folder)
    output = await asyncio.to_thread(output_of, NODE, file, new_phone(), code, cwd=folder)
    assert output == code
    wrong = folder / "wrong.ts"
    wrong.write_text(file.read_text().replace("sent.data.token,", "sent.data.tokens,"))
    finished = await asyncio.to_thread(run, *tsc, wrong, cwd=folder)
    assert "Property 'tokens' does not exist" in finished.stdout
