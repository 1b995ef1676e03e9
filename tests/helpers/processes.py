"""The service as processes of its own, the way people run it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 30


@dataclass
class Server:
    """A server that answers. log: where its output goes."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Only what a fresh shell has, and these variables."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "src"),
        **variables,
    }


async def new_postgres_database(server_url: str) -> str:
    """The URL of a new and empty database on a server, given the URL of another one there."""
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
    """Run one command to its end, in this folder. typed: into its stdin."""
    return subprocess.run(
        [sys.executable, "-m", "referral", *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[Server]:
    """`referral migrate` and `referral serve` in this folder, until the block ends.

    variables: settings, as environment variables. Sending takes no time, and nobody waits between
    sends, unless they say so.
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
    with started(command, port=port, cwd=folder, env=env, log=folder / f"serve-{port}.log") as one:
        yield one


@contextmanager
def started(
    command: list[str], *, port: int, cwd: Path, env: dict[str, str], log: Path
) -> Iterator[Server]:
    """A server that this command starts on the port, once it answers, until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=output, stderr=output)
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until_ready(server)
        yield server
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, as platforms do, and see that it does."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def family(process: int) -> list[int]:
    """A process and all that it, or those, started."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [process, *(one for child in children.split() for one in family(int(child)))]


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
