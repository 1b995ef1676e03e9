"""The dashboard and the alerts of docs/monitoring/ ask for what `/metrics` has."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from processes import ROOT, new_postgres_database, serving
from support import Service

FOLDER = ROOT / "docs" / "monitoring"
_UNPACKED = ROOT / ".cache" / "prometheus" / "usr" / "bin"
# The parts of a counter, and of a histogram
PARTS = r"_(total|count|sum|bucket)$"


@pytest.mark.parametrize("file", ["alerts.yaml", "grafana.json"])
async def test_every_metric_that_is_asked_for_is_there(file: str, service: Service) -> None:
    await service.sign_in()
    text = (await service.get("/metrics")).text
    there = {re.sub(PARTS, "", name) for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)}
    asked = set(re.findall(r"\b(?:referral|http)_\w+", (FOLDER / file).read_text()))
    assert asked
    assert {re.sub(PARTS, "", name) for name in asked} - there == set()


def test_alerts_fire_when_they_should() -> None:
    """By Prometheus's own tool: every process gone, the database away with and without requests."""
    promtool = shutil.which("promtool", path=f"{os.environ['PATH']}:{_UNPACKED}")
    assert promtool is not None, "promtool is missing: `make promtool` fetches it"
    tested = subprocess.run(
        [promtool, "test", "rules", ROOT / "tests" / "alerts.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


async def test_what_alerts_count_is_there_before_it_happens(service: Service) -> None:
    """Prometheus takes a series that begins with 1 for one that did not rise."""
    text = (await service.get("/metrics")).text
    for series in (
        'referral_failures_total{error="storage_unavailable"}',
        'referral_gateway_seconds_count{outcome="failed"}',
        'referral_gateway_seconds_count{outcome="sent"}',
        'referral_events_total{event="code_sent"}',
        'referral_events_total{event="signed_in"}',
    ):
        assert f"{series} " in text


async def test_a_database_that_is_away_shows_without_a_request(
    tmp_path: Path, postgres_url: str
) -> None:
    url = await new_postgres_database(postgres_url)
    name = urlsplit(url).path[1:]
    with serving(tmp_path, DATABASE_URL=url, WEB_CONCURRENCY="2") as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            await until_database_is(http, "1.0")
            connection = await asyncpg.connect(postgres_url)
            try:
                await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                    name,
                )
            finally:
                await connection.close()
            await until_database_is(http, "0.0")


async def until_database_is(http: httpx.AsyncClient, up: str) -> None:
    async with asyncio.timeout(20):
        while f"\nreferral_database_up {up}\n" not in (await http.get("/metrics")).text:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
