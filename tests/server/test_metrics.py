"""Metrics of one and of several processes, and request ids."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from processes import Server, serving
from support import SECRET, Clock, Inbox, Service, new_phone, ok, refused, running

PRODUCTION: dict[str, Any] = {
    "REFERRAL_ENV": "production",
    "REFERRAL_SECRET": SECRET,
    "REFERRAL_PUBLIC_URL": "https://referral.example.com",
    "REFERRAL_TRUSTED_PROXIES": "0",
    "REFERRAL_SMS_URL": "simulated://?delay=0",
}
TOKEN = "a token for the metrics"


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Server]:
    """Serve with two processes in production."""
    settings = {**PRODUCTION, "WEB_CONCURRENCY": "2", "REFERRAL_METRICS_TOKEN": TOKEN}
    with serving(tmp_path, DATABASE_URL=database_url, **settings) as started:
        yield started


async def test_processes_share_their_metrics(server: Server) -> None:
    """Each request reaches one process, and each process reports for both."""
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=server.url, timeout=30, limits=limits) as http:
        service = Service(http, Clock(), Inbox())
        inviter = await service.sign_in()
        people = await asyncio.gather(*(service.sign_in() for _ in range(9)))
        code = await inviter.invite_code()
        await asyncio.gather(*(person.activate(code) for person in people))
        for _ in range(12):
            await inviter.activate("ZZZZZZ")
        for _ in range(6):
            text = await read(http)
            assert value(text, 'referral_events_total{event="code_sent"}') == 10
            assert value(text, 'referral_events_total{event="signed_in"}') == 10
            assert value(text, 'referral_events_total{event="invite_activated"}') == 9
            assert value(text, 'referral_refusals_total{code="unknown_invite_code"}') == 10
            assert value(text, 'referral_refusals_total{code="too_many_requests"}') == 2
            assert value(text, 'referral_gateway_seconds_count{outcome="sent"}') == 10
        (verified,) = re.findall(
            r'^http_requests_total\{.*path="/api/v1/auth/verify",status_code="201"\} (\S+)$',
            text,
            re.MULTILINE,
        )
        assert float(verified) == 10


async def test_requests_are_counted_by_route(server: Server) -> None:
    """All invite codes share one series."""
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        for code in ("7KQ2MX", "7KQ2MY"):
            await http.get(f"/api/v1/invitations/{code}")
        text = await read(http)
    assert 'path="/api/v1/invitations/{invite_code}"' in text
    assert "7KQ2M" not in text


async def test_in_production_metrics_need_the_token(database_url: str) -> None:
    async with running(database_url, **PRODUCTION) as service:
        refused(await service.get("/metrics"), 404, "not_found")
    async with running(database_url, **PRODUCTION, REFERRAL_METRICS_TOKEN=TOKEN) as service:
        refused(await service.get("/metrics"), 401, "unauthorized")
        refused(await service.get("/metrics", Authorization="Bearer other"), 401, "unauthorized")
        response = await service.get("/metrics", Authorization=f"Bearer {TOKEN}")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/plain; version=")


async def test_metrics_are_public_in_development(service: Service) -> None:
    await service.send_code(new_phone())
    response = await service.get("/metrics")
    assert response.status_code == 200
    assert 'referral_events_total{event="code_sent"}' in response.text


async def test_the_pool_is_measured_only_on_postgresql(server: Server, database_kind: str) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        text = await read(http)
        pool = re.findall(r'^referral_pool_connections\{state="idle"\} (\S+)$', text, re.MULTILINE)
    if database_kind == "postgres":
        assert float(pool[0]) >= 1
    else:
        assert pool == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [("0af7651916cd43dd8448eb211c80319c", True), ("a b", False), ("x" * 65, False), ("é", False)],
)
async def test_a_valid_request_id_is_kept(service: Service, given: str, *, kept: bool) -> None:
    headers = [(b"X-Request-ID", given.encode())]
    responses = [
        await service.http.get(path, headers=headers)
        for path in ("/health/live", "/nowhere", "/api/v1/profile")
    ]
    for response in responses:
        request_id = response.headers["x-request-id"]
        assert (request_id == given) is kept
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", request_id)


async def test_every_line_about_a_request_has_its_id(server: Server) -> None:
    ids = [f"request-{number}" for number in range(5)]
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        for each in ids:
            body = {"phone": new_phone()}
            ok(await http.post("/api/v1/auth/send-code", json=body, headers={"X-Request-ID": each}))
    events = [
        json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")
    ]
    assert [each["request_id"] for each in events if each["event"] == "code_sent"] == ids


async def read(http: httpx.AsyncClient) -> str:
    response = await http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200, response.text
    return response.text


def value(text: str, series: str) -> float:
    (found,) = re.findall(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found)
