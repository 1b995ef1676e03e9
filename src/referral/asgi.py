"""The entry point of a process that serves.

`serve` names it to uvicorn, so that a worker process imports the application without the commands.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess
from typing import Any

from litestar import Litestar
from litestar.types import ASGIApp

from referral.app import create_app, system_clock
from referral.observability import log_format
from referral.settings import Settings, load
from referral.settings.reader import SettingsError

_LOG = logging.getLogger("referral")
# After how many new objects, and how many rounds among the young and the middle-aged
_GARBAGE = (10_000, 10, 10)


def application() -> ASGIApp:
    """The application of one process."""
    settings = _settings()
    log_format.configure(json=settings.in_production)
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=[parent], daemon=True).start()
    app = create_app(settings)
    _spare_the_collector()
    return _replaceable(app) if settings.workers > 1 else app


def _settings() -> Settings:
    """The settings, or a line for each problem and the end of the process."""
    try:
        return load(today=system_clock().date())
    except SettingsError as error:
        raise SystemExit("\n".join(f"referral: {problem}" for problem in error.problems)) from None


def _end_with(parent: BaseProcess) -> None:
    """Wait for the parent process to end, then end this one as if it was asked to.

    A parent that is killed asks nobody, and its workers would keep the port from the next server.
    """
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _spare_the_collector() -> None:
    """Let Python look for garbage less often, and never through what stays.

    Requests leave few cycles; looking for them took 4% of a worker's time under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)


def _replaceable(app: Litestar) -> ASGIApp:
    """The application of a worker that says in one line why it cannot start, and ends.

    uvicorn takes a worker that says so itself for a reason to stop all others, which may well be
    serving; one that just ends it replaces.
    """

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        async def watch(message: Any) -> None:
            if message["type"] == "lifespan.startup.failed":
                _LOG.error("a worker cannot start: %s", _reason(message.get("message", "")))
                os._exit(1)
            await send(message)

        await app(scope, receive, watch if scope["type"] == "lifespan" else send)

    return asgi


def _reason(traceback: str) -> str:
    """The last line that says something: a group of exceptions ends with the edge of its frame."""
    lines = [line.strip(" |+-") for line in traceback.splitlines()]
    return next((line for line in reversed(lines) if line), "unknown")
