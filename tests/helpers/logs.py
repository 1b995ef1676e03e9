"""What the service and its libraries log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """Return the events of this name that the service logged, with their facts.

    The test has to collect them: `caplog.set_level(logging.INFO, "referral")`.
    """
    found = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [event for event in found if event["event"] == name]


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """Collect the records of every logger at every level, with all their attributes."""
    records: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(f"{record.getMessage()} {record.__dict__}")

    root, handler = logging.getLogger(), Collector(level=logging.NOTSET)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield records
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def leaks(records: list[str], *secrets: str) -> list[str]:
    """Return the records that contain a secret."""
    return [record for record in records if any(secret in record for secret in secrets)]
