"""Serving."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import Any

import rich_click as click
import uvicorn
from litestar import Litestar
from litestar.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from referral.app import create_app
from referral.cli import common, logs
from referral.cli.doctor import without_password
from referral.http import metrics
from referral.http.docs import PATH as DOCS_PATH
from referral.http.door import Door
from referral.settings import Settings

# Platforms kill 30 s after they ask to stop
_GRACE_SECONDS = 20
# As a shell has it for who is ended by SIGINT
_FORCED = 130
# After how many new objects, and how many rounds among the young and the middle-aged
_GARBAGE = (10_000, 10, 10)


@click.command()
def serve() -> None:
    """Serve on PORT (8000), with WEB_CONCURRENCY processes (1).

    In development on 127.0.0.1 alone; HOST changes it.
    """
    settings = common.settings()
    logs.configure(json=settings.in_production)
    # Here rather than in each worker, so that what is wrong is told once and in one line
    common.with_database(_nothing)
    _refuse_taken_port(settings)
    _greet(settings)
    with _metrics_folder(settings.workers):
        _run(settings)


def _run(settings: Settings) -> None:
    config = uvicorn.Config(
        "referral.cli.serve:application",
        factory=True,
        http=Door,
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
    if settings.workers > 1:
        _Workers(config, [config.bind_socket()]).run()
        return
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if server.force_exit:
        # Asked twice. Threads whose work was cut off would keep it for ever
        os._exit(_FORCED)
    if not server.started:
        sys.exit(STARTUP_FAILURE)


class _Workers(Multiprocess):
    """uvicorn's, which stops listening as soon as it is asked to end.

    uvicorn's own keeps the port until the last worker has ended. Who connects meanwhile is taken by
    none of them, and cut off at the end; who is refused at once may go to another server.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._is_ending = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)

    def run(self) -> None:
        try:
            super().run()
        except (OSError, ValueError):
            if not self._is_ending:
                raise
            # It was about to start a worker, to which it would give the port
            self.terminate_all()
            self.join_all()

    def _end(self, number: int, _: object) -> None:
        self._is_ending = True
        for listener in self.sockets:
            listener.close()
        self.signal_queue.append(number)


def application() -> ASGIApp:
    """The application of one process."""
    settings = common.settings()
    logs.configure(json=settings.in_production)
    app = create_app(settings)
    _spare_the_collector()
    return _replaceable(app) if settings.workers > 1 else app


def _spare_the_collector() -> None:
    """Let Python look for garbage less often, and never through what stays.

    Requests leave few cycles; looking for them took 4% of a worker's time under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)


def _replaceable(app: Litestar) -> ASGIApp:
    """The application of a worker that is replaced when it cannot start.

    uvicorn takes a worker that says so for a reason to stop all others, which may well be serving;
    one that just ends it replaces. What can be wrong for good, `serve` has looked at before.
    """

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        async def watch(message: Any) -> None:
            if message["type"] == "lifespan.startup.failed":
                *_, why = message.get("message", "").strip().splitlines() or ["unknown"]
                logging.getLogger("referral").error("a worker cannot start: %s", why)
                os._exit(1)
            await send(message)

        await app(scope, receive, watch if scope["type"] == "lifespan" else send)

    return asgi


@contextmanager
def _metrics_folder(workers: int) -> Iterator[None]:
    """Where several processes put their counts together, so that any of them answers for all."""
    if workers == 1 or metrics.FOLDER in os.environ:
        yield
        return
    with TemporaryDirectory(prefix="referral-metrics-") as folder:
        os.environ[metrics.FOLDER] = folder
        yield


async def _nothing(_: Settings) -> None:
    """To see that the database answers."""


def _refuse_taken_port(settings: Settings) -> None:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.create_server(address[:2], family=family):
            pass
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
        f"database  {without_password(settings.database_url)}"
    )
