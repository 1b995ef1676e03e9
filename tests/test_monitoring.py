"""The dashboard and the alerts of docs/monitoring/ ask for what `/metrics` has."""

from __future__ import annotations

import re

import pytest

from processes import ROOT
from support import Service

FOLDER = ROOT / "docs" / "monitoring"
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
