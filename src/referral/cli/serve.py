"""Serving."""

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

# Platforms kill 30 s after they ask to stop
_GRACE_SECONDS = 20
# As a shell has it for who is ended by SIGINT
_FORCED = 130
# uvicorn's default
_BACKLOG = 2048
_LOG = logging.getLogger("referral")


@click.command()
def serve() -> None:
    """Serve on PORT (8000), with WEB_CONCURRENCY processes (1).

    In development on 127.0.0.1 alone; HOST changes it.
    """
    settings = common.settings()
    log_format.configure(json=settings.in_production)
    # Here rather than in each worker, so that what is wrong is told once and in one line
    common.with_context(_nothing)
    listener = _listen(settings)
    _greet(settings)
    if settings.workers > 1:
        with _metrics_folder():
            _run_workers(settings, listener)
    else:
        # It listens once it is ready: who comes before is refused at once, and tries another server
        listener.close()
        _run(settings)


def _run(settings: Settings) -> None:
    server = uvicorn.Server(_config(settings))
    # uvicorn ends itself by the signal that it was asked by. SIGTERM then does as SIGINT does, so
    # that the status is 0, as it is with several workers
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        server.run()
    if server.force_exit:
        # Asked twice. Threads whose work was cut off would keep it for ever
        os._exit(_FORCED)
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _run_workers(settings: Settings, listener: socket.socket) -> None:
    workers = _Workers(_config(settings), [listener])
    workers.run()
    if not workers.is_ending:
        sys.exit(STARTUP_FAILURE)


def _config(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        "referral.asgi:application",
        factory=True,
        http=HttpProtocol,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        # The client's address comes from X-Forwarded-For by our own, stricter count
        proxy_headers=False,
        server_header=False,
        # Its lines would hold whatever somebody wrote into a path
        access_log=False,
        # The lines of uvicorn go where ours go
        log_config=None,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


class _Workers(Multiprocess):
    """uvicorn's, which stops listening as soon as it is asked to end.

    uvicorn's own keeps the port until the last worker has ended. Who connects meanwhile is taken by
    none of them, and cut off at the end; who is refused at once may go to another server.

    And it ends if one of the first workers ends by itself before it serves: what is wrong then is
    wrong for each, and a platform shows a server that ended, not one that goes on trying. A worker
    that is killed, or ends later, is replaced.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.is_ending = False
        self._starting: set[Process] | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)

    def run(self) -> None:
        try:
            super().run()
        except (OSError, ValueError):
            if not self.is_ending:
                raise
            # It was about to start a worker, to which it would give the port
            self.terminate_all()
            self.join_all()

    def keep_subprocess_alive(self) -> None:
        if self._starting is None:
            self._starting = set(self.processes)
        for worker in list(self._starting):
            status = worker.exitcode
            if status is not None and status > 0 and not self.is_ending:
                _LOG.error("a worker ended with status %s before all of them served", status)
                self.should_exit.set()
                return
            if status is not None or worker.is_ready(timeout=1):
                self._starting.remove(worker)
        super().keep_subprocess_alive()

    def _end(self, number: int, _: object) -> None:
        self.is_ending = True
        for listener in self.sockets:
            listener.close()
        self.signal_queue.append(number)


@contextmanager
def _metrics_folder() -> Iterator[None]:
    """Where several processes put their counts together, so that any of them answers for all."""
    if metrics.FOLDER in os.environ:
        yield
        return
    with TemporaryDirectory(prefix="referral-metrics-") as folder:
        os.environ[metrics.FOLDER] = folder
        yield


async def _nothing(_: Context) -> None:
    """To see that the service can be put together: the database answers, its keys open."""


def _listen(settings: Settings) -> socket.socket:
    """Take the port, or say why not. Another server that starts at the same moment cannot too.

    Two may bind it, as long as none listens.
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
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
        common.fail(
            f"cannot listen on {settings.host} port {settings.port}: {why}; set PORT or HOST"
        )


def _greet(settings: Settings) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = settings.public_url if settings.in_production else f"http://{host}:{settings.port}"
    click.echo(
        f"pages     {base}/\n"
        f"API docs  {base}{DOCS_PATH}\n"
        f"database  {common.without_password(settings.database_url)}"
    )
