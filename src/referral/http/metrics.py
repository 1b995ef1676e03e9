"""`/metrics`, for Prometheus."""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Any

from litestar import Controller
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.plugins.prometheus import PrometheusConfig, PrometheusController

from referral.core.errors import NotFound, Unauthorized

PATH = "/metrics"
# Where the processes of one server put their counts together; prometheus-client reads it
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

# A path by its route: somebody's invite code in it would make a series of its own
middleware = PrometheusConfig(app_name="referral", prefix="http", group_path=True).middleware


def controller(token: str | None, *, in_production: bool) -> type[Controller]:
    """token: what a reader has to send; without one, nobody reads in production."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        if token is None:
            if in_production:
                raise NotFound(reason="no REFERRAL_METRICS_TOKEN")
        else:
            given = ", ".join(connection.headers.getall("authorization", []))
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                raise Unauthorized(
                    "Send REFERRAL_METRICS_TOKEN as `Authorization: Bearer ...`.",
                    reason="no or another metrics token",
                )
        _forget_the_dead()

    return type("Metrics", (PrometheusController,), {"guards": [guard], "include_in_schema": False})


def _forget_the_dead() -> None:
    """What a killed process was in the middle of is not under way any more."""
    folder = os.environ.get(FOLDER)
    for file in Path(folder).glob("gauge_live*_*.db") if folder else ():
        if not _is_alive(int(file.stem.rpartition("_")[2])):
            file.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
