"""Serving HTTP."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory

import rich_click as click
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from referral.cli import common
from referral.context import Context
from referral.http.docs import PATH as DOCS_PATH
from referral.http.server import metrics
from referral.http.server.protocol import HttpProtocol
from referral.observability import log_format
from referral.settings import Settings

# Platforms kill a process 30 s after they ask it to stop
_GRACE_SECONDS = 20
# The status that shells give to a process ended by SIGINT
_INTERRUPTED = 130
# uvicorn's default
_BACKLOG = 2048
_LOG = logging.getLogger("referral")


@click.command()
def serve() -> None:
    """Serve HTTP on PORT (default 8000) with WEB_CONCURRENCY processes (default 1).

    In development it listens only on 127.0.0.1, unless HOST is set.
    """
    settings = common.load_settings()
    log_format.configure(as_json=settings.in_production)
    # Checked here rather than in each worker, so that a problem is reported once, in one line
    common.run_with_context(_check)
    listener = _listen(settings)
    _print_addresses(settings)
    if settings.workers > 1:
        with _metrics_folder():
            _run_workers(settings, listener)
    else:
        # uvicorn listens again once it is ready. Until then connections are refused, so that
        # clients can try another server
        listener.close()
        _run_single(settings)


def _run_single(settings: Settings) -> None:
    server = uvicorn.Server(_uvicorn_config(settings))
    # After its shutdown, uvicorn raises the signal again that stopped it. With this handler SIGTERM
    # raises KeyboardInterrupt, so that the exit status is 0, as it is with several workers
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        server.run()
    if server.force_exit:
        # A second signal came. Threads that are still working would keep the process alive
        os._exit(_INTERRUPTED)
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _run_workers(settings: Settings, listener: socket.socket) -> None:
    supervisor = _Supervisor(_uvicorn_config(settings), [listener])
    supervisor.run()
    if not supervisor.is_stopping:
        sys.exit(STARTUP_FAILURE)


def _uvicorn_config(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        "referral.asgi:application",
        factory=True,
        http=HttpProtocol,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        # core/address.py reads X-Forwarded-For instead, by the number of trusted proxies
        proxy_headers=False,
        server_header=False,
        # Paths may contain personal data
        access_log=False,
        # uvicorn's lines go through our own handler
        log_config=None,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


class _Supervisor(Multiprocess):
    """uvicorn's supervisor of worker processes, with two differences.

    It closes the port as soon as it is asked to stop. uvicorn's supervisor keeps it until the last
    worker has ended: no worker accepts the connections made meanwhile, and they are cut off at the
    end, whereas a client that is refused immediately can try another server.

    It stops if one of the first workers exits with an error before all of them serve: every worker
    would fail in the same way, and platforms report a server that has ended, but not one that keeps
    trying. A worker that is killed, or exits later, is replaced.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.is_stopping = False
        self._starting: set[Process] | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def run(self) -> None:
        try:
            super().run()
        except (OSError, ValueError):
            if not self.is_stopping:
                raise
            # `_stop` closed the port while a worker was being started with it
            self.terminate_all()
            self.join_all()

    def keep_subprocess_alive(self) -> None:
        if self._starting is None:
            self._starting = set(self.processes)
        for worker in list(self._starting):
            status = worker.exitcode
            if status is not None and status > 0 and not self.is_stopping:
                _LOG.error("a worker ended with status %s before all of them served", status)
                self.should_exit.set()
                return
            if status is not None or worker.is_ready(timeout=1):
                self._starting.remove(worker)
        super().keep_subprocess_alive()

    def _stop(self, number: int, _: object) -> None:
        self.is_stopping = True
        for listener in self.sockets:
            listener.close()
        self.signal_queue.append(number)


@contextmanager
def _metrics_folder() -> Iterator[None]:
    """Make a folder in which the workers share their metrics, so that any of them can report all.

    Does nothing if the environment names one already.
    """
    if metrics.FOLDER_VARIABLE in os.environ:
        yield
        return
    with TemporaryDirectory(prefix="referral-metrics-") as folder:
        os.environ[metrics.FOLDER_VARIABLE] = folder
        yield


async def _check(_: Context) -> None:
    """Do nothing: building the context has shown that the database and its data keys work."""


def _listen(settings: Settings) -> socket.socket:
    """Listen on the port, or print why that fails and exit.

    It does not only bind: of two servers that start at the same time, the second then fails here.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(
            address[:2],
            family=family,
            backlog=_BACKLOG,
            dualstack_ipv6=family == socket.AF_INET6 and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
        common.fail(
            f"cannot listen on {settings.host} port {settings.port}: {reason}; "
            "set another PORT or HOST"
        )


def _print_addresses(settings: Settings) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = settings.public_url if settings.in_production else f"http://{host}:{settings.port}"
    click.echo(
        f"pages     {base}/\n"
        f"API docs  {base}{DOCS_PATH}\n"
        f"database  {common.mask_password(settings.database_url)}"
    )
