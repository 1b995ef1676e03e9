"""The dashboard and the alerts of docs/monitoring/ use existing metrics and work."""

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
# Suffixes of the series of counters and histograms
PARTS = r"_(total|count|sum|bucket)$"


@pytest.mark.parametrize("file", ["alerts.yaml", "grafana.json"])
async def test_every_queried_metric_exists(file: str, service: Service) -> None:
    await service.sign_in()
    text = (await service.get("/metrics")).text
    existing = {
        re.sub(PARTS, "", name) for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    }
    queried = set(re.findall(r"\b(?:referral|http)_\w+", (FOLDER / file).read_text()))
    assert queried
    assert {re.sub(PARTS, "", name) for name in queried} - existing == set()


def test_alerts_fire_as_expected() -> None:
    """Checked with Prometheus's own tool, on the cases of tests/alerts.yaml."""
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


async def test_series_of_alerts_exist_from_the_start(service: Service) -> None:
    """Prometheus sees no increase in a series that first appears with a value of 1."""
    text = (await service.get("/metrics")).text
    for series in (
        'referral_failures_total{error="storage_unavailable"}',
        'referral_gateway_seconds_count{outcome="failed"}',
        'referral_gateway_seconds_count{outcome="sent"}',
        'referral_events_total{event="code_sent"}',
        'referral_events_total{event="signed_in"}',
    ):
        assert f"{series} " in text


async def test_a_lost_database_shows_without_requests(tmp_path: Path, postgres_url: str) -> None:
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
