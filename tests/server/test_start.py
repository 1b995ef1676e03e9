"""Starting a server: why it cannot start is one line, and what it imports is little."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from processes import Server, environment, free_port, new_postgres_database, referral
from processes import wait_until_ready as until_ready
from roles import create_role

TWO_WORKERS = {"WEB_CONCURRENCY": "2"}


@pytest.mark.parametrize("workers", ["1", "2"], ids=["one-process", "two-workers"])
async def test_read_only_role(tmp_path: Path, workers: str, postgres_url: str) -> None:
    """The first start must write data keys."""
    url = await new_postgres_database(postgres_url)
    assert referral(tmp_path, "migrate", DATABASE_URL=url).returncode == 0
    reader = await create_role(url, "SELECT")
    started = referral(
        tmp_path, "serve", DATABASE_URL=reader, PORT=str(free_port()), WEB_CONCURRENCY=workers
    )
    assert started.returncode == 1
    (line,) = started.stderr.splitlines()
    assert line.startswith("referral: the database cannot be used: permission denied for table ")


async def test_worker_that_cannot_start(tmp_path: Path, postgres_url: str) -> None:
    """The role is limited to one connection, so the second worker gets none."""
    url = await new_postgres_database(postgres_url)
    assert referral(tmp_path, "migrate", DATABASE_URL=url).returncode == 0
    one = await create_role(url, "ALL", "CONNECTION LIMIT 1")
    started = referral(tmp_path, "serve", DATABASE_URL=one, PORT=str(free_port()), **TWO_WORKERS)
    assert started.returncode == 3
    reasons = [line for line in started.stderr.splitlines() if "a worker cannot start" in line]
    assert reasons
    assert all("(TooManyConnectionsError)" in line for line in reasons)
    assert "a worker ended with status 1 before all of them served" in started.stderr
    assert "Traceback" not in started.stderr


async def test_two_servers_on_one_port(tmp_path: Path) -> None:
    """Started at the same time, one serves, and the other says that the port is in use."""
    url = f"sqlite://{tmp_path}/referral.sqlite3"
    assert referral(tmp_path, "migrate", DATABASE_URL=url).returncode == 0
    port = free_port()
    env = environment(tmp_path, DATABASE_URL=url, PORT=str(port), **TWO_WORKERS)
    logs = [tmp_path / "one.log", tmp_path / "other.log"]
    servers = [Server(f"http://127.0.0.1:{port}", start(tmp_path, env, log), log) for log in logs]
    try:
        async with asyncio.timeout(60):
            while all(server.process.poll() is None for server in servers):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        ended, stays = sorted(servers, key=lambda server: server.process.poll() is None)
        assert ended.process.returncode == 1
        why = f"cannot listen on 127.0.0.1 port {port}: Address already in use"
        lines = ended.log.read_text().splitlines()
        assert lines == [f"referral: {why}; set another PORT or HOST"]
        until_ready(stays)
    finally:
        for server in servers:
            server.process.terminate()
            server.process.wait(30)


def start(folder: Path, env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "referral", "serve"],
            cwd=folder,
            env=env,
            stdout=output,
            stderr=output,
        )


IMPORTED = """
import sys
from referral.cli import serve
from referral.asgi import application

application()
print(*sys.modules)
"""


def imported(folder: Path, **variables: str) -> set[str]:
    """Return the modules that a process has imported before its first request."""
    finished = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        cwd=folder,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(finished.stdout.split())


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("httpx", "only for hooks and webhooks, if they are set, and for doctor"),
        ("rich", "only for tables and help of the command line"),
        ("structlog", "its package imports rich"),
        ("apprise", "only for its gateways"),
        ("referral.cli.doctor", "another command"),
        ("referral.cli.import_export", "another command"),
        ("referral.cli.users", "another command"),
    ],
)
def test_server_does_not_import(module: str, why: str, serving_modules: set[str]) -> None:
    """Each import makes the start slower and the process larger."""
    assert module not in serving_modules, why


@pytest.fixture(scope="module")
def serving_modules(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return imported(tmp_path_factory.mktemp("imports"))


def test_worker_does_not_import_the_commands(tmp_path: Path) -> None:
    """The script `referral` imports its main module again in each worker."""
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, referral.__main__, referral.asgi; print(*sys.modules)",
        ],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not {"referral.cli", "rich_click", "rich"} & set(finished.stdout.split())


def test_httpx_is_imported_for_webhooks(tmp_path: Path) -> None:
    """So the tests above would find the import of a module."""
    modules = imported(
        tmp_path,
        REFERRAL_WEBHOOK_URL="http://127.0.0.1:9/",
        REFERRAL_WEBHOOK_SECRET="whsec_" + "QUJD" * 10,
    )
    assert "httpx" in modules
