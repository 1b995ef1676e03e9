"""Secrets and personal data stay out of the log, error responses and the database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from processes import Server, serving
from support import SECRET, Clock, Inbox, Person, Service, new_phone, ok

# Long, so that no id or time contains a code by chance
CODE_LENGTH = "8"


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Server]:
    """A server with the settings of production."""
    production = {
        "REFERRAL_ENV": "production",
        "REFERRAL_SECRET": SECRET,
        "REFERRAL_PUBLIC_URL": "https://referral.example.com",
        "REFERRAL_TRUSTED_PROXIES": "0",
        "REFERRAL_CODE_LENGTH": CODE_LENGTH,
        "WEB_CONCURRENCY": "2",
    }
    with serving(tmp_path, DATABASE_URL=database_url, **production) as started:
        yield started


async def test_secrets_and_phones_do_not_leak(server: Server, database_url: str) -> None:
    """Error responses have none, the log none, the database no secret and no deleted phone."""
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        responses: list[httpx.Response] = []
        http.event_hooks = {"response": [_collect(responses)]}
        service = Service(http, Clock(), Inbox())
        secrets, phones = await use_everything(service)
    assert len(secrets) > 20
    log = server.log.read_text()
    stored = await dump(database_url)
    for secret in (*secrets, SECRET):
        assert secret not in log
        assert secret not in stored
    for phone in phones:
        assert phone.removeprefix("+") not in log
    deleted, *_ = phones
    assert deleted not in stored
    for response in responses:
        if response.is_error:
            assert [each for each in (*secrets, *phones) if each in response.text] == []


def test_production_log_is_json(server: Server) -> None:
    httpx.get(f"{server.url}/api/v1/profile", headers={"Authorization": "Bearer nothing"})
    lines = [line for line in server.log.read_text().splitlines() if not is_greeting(line)]
    events = [json.loads(line) for line in lines]
    assert "request_refused" in {event["event"] for event in events}
    assert all({"event", "level", "timestamp"} <= event.keys() for event in events)


async def use_everything(service: Service) -> tuple[list[str], list[str]]:
    """Make all kinds of requests, valid and invalid.

    Returns their secrets, and their phones with that of a deleted user first.
    """
    sent = [await service.send_code(new_phone()) for _ in range(3)]
    people = []
    for each in sent:
        await service.verify({**each, "code": "1" * int(CODE_LENGTH)})
        response = await service.verify(each)
        people.append(Person(service.http, each["phone"], ok(response), is_new=True))
        await service.verify(each)
    inviter, invitee, leaver = people
    ok(await invitee.activate(await inviter.invite_code()))
    await invitee.activate("ZZZZZZ")
    used = invitee.tokens["refresh_token"]
    following = ok(await invitee.refresh())
    device = inviter.tokens["device_token"]
    again = ok(await service.post("/auth/send-code", phone=inviter.phone, device_token=device))
    moved = new_phone()
    change = ok(await inviter.call("POST", "/profile/phone/send-code", json={"phone": moved}))
    proof = {name: change[name] for name in ("token", "code")}
    ok(await inviter.call("PUT", "/profile/phone", json=proof))
    ok(await leaver.call("DELETE", "/profile"))
    secrets = [used, following["refresh_token"], following["access_token"], device]
    for each in (*sent, again, change):
        secrets += [each["code"], each["token"]]
    for person in people:
        secrets += [person.tokens[f"{kind}_token"] for kind in ("access", "refresh", "device")]
    await send_everywhere(service, [*secrets, leaver.phone, moved])
    return secrets, [leaver.phone, *(each["phone"] for each in sent), moved]


async def send_everywhere(service: Service, texts: list[str]) -> None:
    """Send each text in fields and headers that it does not belong into."""
    for text in texts:
        for path in ("/auth/send-code", "/auth/verify", "/auth/refresh"):
            await service.post(path, **{text: text, "phone": text, "token": text, "code": text})
            await service.post(path, refresh_token=text, phone=text)
            await service.http.post(f"/api/v1{path}", content=text)
        await service.get("/api/v1/profile", Authorization=f"Bearer {text}")
        await service.get("/api/v1/profile", Authorization=text)
        await service.http.delete(f"/api/v1/sessions/{text[:200]}")


async def dump(database_url: str) -> str:
    """Return every row of every table, as text."""
    if database_url.startswith("sqlite://"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite://"))) as file:
            return "\n".join(file.iterdump())
    connection = await asyncpg.connect(database_url)
    try:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        rows = [
            str(dict(row))
            for table in tables
            for row in await connection.fetch(f"SELECT * FROM {table['tablename']}")  # noqa: S608 - names of our own tables
        ]
    finally:
        await connection.close()
    return "\n".join(rows)


def _collect(responses: list[httpx.Response]) -> Any:
    async def collect(response: httpx.Response) -> None:
        await response.aread()
        responses.append(response)

    return collect


def is_greeting(line: str) -> bool:
    """Return whether a line is one that `serve` prints for people when it starts."""
    return line.startswith(("pages ", "API docs ", "database "))
