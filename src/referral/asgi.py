"""The entry point of a serving process: uvicorn calls `application`.

`referral serve` gives uvicorn its name, so that a worker process imports the application without
the commands.
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

from referral.app import create_app
from referral.assembly import system_clock
from referral.observability import log_format
from referral.settings import load
from referral.settings.reader import or_exit

_LOG = logging.getLogger("referral")
# Collect the youngest generation after 10,000 allocations, the older ones every 10th time.
# The defaults of Python 3.11 are 700, 10, 10
_GC_THRESHOLDS = (10_000, 10, 10)


def application() -> ASGIApp:
    """Create the application from the settings. Exits if they are wrong."""
    settings = or_exit(lambda: load(today=system_clock().date()))
    log_format.configure(as_json=settings.in_production)
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_exit_with_parent, args=[parent], daemon=True).start()
    app = create_app(settings)
    _tune_gc()
    return _exit_on_failed_startup(app) if settings.workers > 1 else app


def _exit_with_parent(parent: BaseProcess) -> None:
    """Wait for the parent process to end, then shut this one down.

    A parent that is killed cannot stop its workers, and they would keep the port from the next
    server.
    """
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _tune_gc() -> None:
    """Collect garbage less often, and never examine the objects that exist already.

    Requests leave few reference cycles; looking for them took 4% of a worker's time under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _exit_on_failed_startup(app: Litestar) -> ASGIApp:
    """Wrap the application of a worker: if it cannot start, log why in one line and exit.

    If a worker reports `lifespan.startup.failed`, uvicorn stops all workers, including those that
    serve. A worker that just exits is replaced.
    """

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        async def send_or_exit(message: Any) -> None:
            if message["type"] == "lifespan.startup.failed":
                _LOG.error("a worker cannot start: %s", _last_line(message.get("message", "")))
                os._exit(1)
            await send(message)

        await app(scope, receive, send_or_exit if scope["type"] == "lifespan" else send)

    return asgi


def _last_line(traceback: str) -> str:
    """Return the last line with text: an exception group's traceback ends with a line of dashes."""
    lines = [line.strip(" |+-") for line in traceback.splitlines()]
    return next((line for line in reversed(lines) if line), "unknown")
