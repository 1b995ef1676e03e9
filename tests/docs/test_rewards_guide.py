"""The examples of docs/rewards.md, run against a real server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import examples
from processes import Server, environment, free_port, referral, serving, stop
from support import Clock, Inbox, Person, Service, ok

HELPERS = """
send() { curl -sS --fail-with-body --header "Content-Type: application/json" "$@"; }
AUTH="Authorization: Bearer $KEY"
"""
MAX_LINES = 15


@dataclass
class Shop:
    """The backend of an app that follows the guide."""

    service: Service
    url: str
    folder: Path
    key: Person

    async def run(self, *names: str, **variables: str) -> None:
        """Run examples of the shell one after another."""
        script = HELPERS + "\n".join(examples.EXAMPLES[name] for name in names)
        env = environment(self.folder, BASE=self.url, KEY=self.secret, **variables)
        shell = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-eu", "-c", script],
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert shell.returncode == 0, shell.stdout + shell.stderr

    @property
    def secret(self) -> str:
        return str(self.key.tokens["access_token"])

    async def entries(self, person: Person) -> list[tuple[str, int, str]]:
        """Return the rule, amount and status of a user's entries, oldest first."""
        found = ok(await self.key.call("GET", f"/users/{person.id()}/rewards"))
        return [(each["rule"], each["amount"], each["status"]) for each in found["items"][::-1]]

    async def balance(self, person: Person) -> tuple[int, int]:
        """Return what a user has available and pending."""
        (found,) = ok(await self.key.call("GET", f"/users/{person.id()}/rewards"))["balances"]
        return found["available"], found["pending"]

    async def invitees(self, number: int) -> tuple[Person, list[Person]]:
        inviter = await self.service.sign_in()
        code = await inviter.invite_code()
        return inviter, [await self.service.sign_in(invite_code=code) for _ in range(number)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("rewards")) as started:
        yield started


@pytest.fixture
async def shop(server: Server, tmp_path: Path) -> AsyncIterator[Shop]:
    created = referral(server.log.parent, "key", "new", tmp_path.name[:100])
    assert created.returncode == 0, created.stderr
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        key = Person(http, "", {"access_token": created.stdout.strip()}, is_new=False)
        yield Shop(Service(http, Clock(), Inbox()), server.url, tmp_path, key)
        for rule in ok(await key.call("GET", "/reward-rules"))["items"]:
            await key.call("DELETE", f"/reward-rules/{rule['name']}")


async def test_the_examples_run_from_top_to_bottom(shop: Shop) -> None:
    """Purchases earn on both sides, three of them reach the milestone, and one is refunded."""
    inviter, invitees = await shop.invitees(3)
    ids = {"INVITER_ID": inviter.id(), "INVITEE_ID": invitees[0].id()}
    await shop.run("first-purchase.sh", "purchase.sh", "milestone.sh", **ids)
    assert await shop.entries(invitees[0]) == [("welcome", 300, "pending")]
    assert await shop.entries(inviter) == [("first-purchase", 500, "pending")]
    for number, invitee in enumerate(invitees):
        event = {"event_id": f"more-{number}", "type": "purchase", "user_id": invitee.id()}
        ok(await shop.key.call("POST", "/events", json={**event, "value": 1000}))
    # All of them signed in from one address
    found = await shop.key.call("GET", "/rewards", params={"status": "in_review"})
    [waiting] = [each for each in ok(found)["items"] if each["user_id"] == inviter.id()]
    assert waiting["rule"] == "three-friends"
    assert "same_address" in waiting["flags"]
    ok(await shop.key.call("POST", f"/rewards/{waiting['id']}/approve"))
    assert await shop.balance(inviter) == (1000, 1500)
    await check_outs(shop, inviter)
    await shop.run("refund.sh", **ids)
    # The other purchase of the same invitee stands
    assert await shop.balance(inviter) == (1000, 1500)
    ok(await shop.key.call("POST", "/events/more-0/reverse", json={}))
    assert await shop.balance(inviter) == (0, 1000)
    assert [status for *_, status in await shop.entries(invitees[0])] == ["reversed"] * 4


async def check_outs(shop: Shop, person: Person) -> None:
    """Pay, with too many points, then with a card that fails, then successfully, then give back."""
    then = f"""
def fail():
    raise RuntimeError

assert not check_out("{person.id()}", "p-1", 1001, print)
try:
    check_out("{person.id()}", "p-2", 400, fail)
except RuntimeError:
    assert check_out("{person.id()}", "p-3", 400, print)
"""
    file = examples.write("checkout.py", shop.folder, **{examples.PUBLIC: shop.url})
    file.write_text(file.read_text() + then)
    finished = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(file)],
        env=environment(shop.folder, REFERRAL_KEY=shop.secret),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert await shop.balance(person) == (600, 1500)
    ok(await shop.key.call("POST", "/redemptions/p-3/reverse"))


@pytest.mark.parametrize("name", ["payments.py", "payments.mjs"])
async def test_a_payment_earns_once(name: str, shop: Shop) -> None:
    """The provider repeats its webhook, and the service is not reached at first."""
    assert len(examples.EXAMPLES[name].replace("\n\n", "\n").splitlines()) <= MAX_LINES
    inviter, (invitee,) = await shop.invitees(1)
    rule = {"trigger": "purchase", "beneficiary": "inviter", "amount": 500, "unit": "points"}
    rule_name = name.replace(".", "-")
    made = await shop.key.call("PUT", f"/reward-rules/{rule_name}", json=rule)
    assert made.status_code == 201
    payment: dict[str, Any] = {
        "id": f"pay_{rule_name}",
        "amount": 4900,
        "created_at": shop.service.clock().isoformat(),
        "metadata": {"user_id": invitee.id()},
    }
    with receiving(name, shop, url=f"http://127.0.0.1:{free_port()}") as provider:
        assert await delivered(provider, payment) >= 500
    with receiving(name, shop, url=shop.url) as provider:
        for _ in range(3):
            assert await delivered(provider, payment) == 204
        nobody = {**payment, "id": "pay_2", "metadata": {"user_id": shop.key.phone or "x"}}
        assert await delivered(provider, nobody) == 204
        assert await delivered(provider, {**payment, "amount": 1}) == 503
    assert await shop.entries(inviter) == [(rule_name, 500, "available")]


async def delivered(url: str, payment: dict[str, Any]) -> int:
    """Deliver a webhook as a payment provider does, and return the status of the response."""
    transport = httpx.AsyncHTTPTransport(retries=8)
    async with httpx.AsyncClient(transport=transport, timeout=30) as http:
        return (await http.post(f"{url}/payments", json=payment)).status_code


@contextmanager
def receiving(name: str, shop: Shop, *, url: str) -> Iterator[str]:
    """Run an example that receives webhooks and posts events to this URL. Return its own URL."""
    port = free_port()
    file = examples.write(name, shop.folder, **{examples.PUBLIC: url})
    command = [str(examples.NODE), str(file)]
    if name.endswith(".py"):
        command = [sys.executable, "-m", "flask", "--app", str(file), "run", "--port", str(port)]
    env = environment(shop.folder, PORT=str(port), REFERRAL_KEY=shop.secret)
    # Python takes a compiled file for the present one if their length and second are the same
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (shop.folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=shop.folder, env=env, stdout=output, stderr=output)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)
