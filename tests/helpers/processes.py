"""The service in processes of its own, as people run it."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import httpx

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 60


@dataclass
class Server:
    """A server that is running.

    log: the file that its output goes to.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Return the variables of a fresh shell, and these."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "src"),
        **variables,
    }


async def new_database(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """Return the URL of a new, empty database: a file in `folder`, or one of the tests' server."""
    if kind == "sqlite":
        return f"sqlite://{folder}/referral.sqlite3"
    return await new_postgres_database(request.getfixturevalue("postgres_url"))


async def new_postgres_database(server_url: str) -> str:
    """Create an empty database and return its URL.

    server_url: of another database on the same server.
    """
    name = f"fresh_{uuid4().hex}"
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return server_url.replace("/postgres?", f"/{name}?")


def referral(
    folder: Path, *arguments: str, typed: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of `referral` in a folder, until it ends.

    typed: its standard input. variables: settings, as environment variables.
    """
    variables = environment(folder, **variables)
    if variables["PYTHONPATH"] != environment(folder)["PYTHONPATH"]:
        return subprocess.run(
            [sys.executable, "-m", "referral", *arguments],
            cwd=folder,
            env=variables,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    with tempfile.TemporaryDirectory() as streams, socket.socket(socket.AF_UNIX) as connection:
        files = {name: Path(streams, name) for name in ("stdin", "stdout", "stderr")}
        for file in files.values():
            file.touch()
        files["stdin"].write_text(typed)
        request = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": variables,
            **{name: str(file) for name, file in files.items()},
        }
        connection.settimeout(60)
        connection.connect(_fork_server())
        connection.sendall(f"{json.dumps(request)}\n".encode())
        status = int(connection.recv(16))
        return subprocess.CompletedProcess(
            arguments, status, files["stdout"].read_text(), files["stderr"].read_text()
        )


@cache
def _fork_server() -> str:
    """Start the process that runs the commands of this test process; return its socket."""
    path = f"{tempfile.mkdtemp()}/commands"
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("fork_server.py"), path],
        stdin=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")},
    )
    atexit.register(process.communicate)  # closes its standard input, which ends it
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except OSError:
                assert time.monotonic() < deadline, "the commands do not start"
                time.sleep(0.02)
            else:
                return path


def done(finished: subprocess.CompletedProcess[str]) -> str:
    """Assert that a command succeeded, and return what it printed."""
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def refusal(finished: subprocess.CompletedProcess[str]) -> str:
    """Assert that a command failed with one line, and return it."""
    assert finished.returncode == 1
    (line,) = finished.stderr.strip().splitlines()
    assert line.startswith("referral: ")
    return line


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[Server]:
    """Run `referral migrate`, then `referral serve` until the block ends, in this folder.

    variables: settings, as environment variables. By default, sending takes no time and there is no
    wait between sends.
    """
    variables = {
        "REFERRAL_SMS_URL": "simulated://?delay=0",
        "REFERRAL_RESEND_WAITS": "0",
        **variables,
    }
    migrated = referral(folder, "migrate", **variables)
    assert migrated.returncode == 0, migrated.stderr
    port = free_port()
    command = [sys.executable, "-m", "referral", "serve"]
    env = environment(folder, PORT=str(port), **variables)
    log = folder / f"serve-{port}.log"
    with started(command, port=port, cwd=folder, env=env, log=log) as server:
        yield server


@contextmanager
def started(
    command: list[str], *, port: int, cwd: Path, env: dict[str, str], log: Path
) -> Iterator[Server]:
    """Run the command of a server on this port until the block ends. Waits until it is ready."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=output, stderr=output)
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until_ready(server)
        yield server
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a server with SIGTERM, as platforms do. Raises TimeoutExpired after 30 seconds."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def process_tree(pid: int) -> list[int]:
    """Return the ids of a process and all its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [pid, *(each for child in children.split() for each in process_tree(int(child)))]


def is_running(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert server.process.poll() is None, server.log.read_text()
        assert time.monotonic() < deadline, server.log.read_text()
        try:
            if httpx.get(f"{server.url}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
