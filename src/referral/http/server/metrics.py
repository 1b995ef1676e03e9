"""`/metrics` for Prometheus, and the metrics of requests.

Several processes write their metrics into a shared folder, so that any of them can report for all.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Controller
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.plugins.prometheus import PrometheusController
from litestar.status_codes import HTTP_500_INTERNAL_SERVER_ERROR as _SERVER_ERROR
from prometheus_client import Counter, Histogram

from referral.core.errors import NotFound, Unauthorized

PATH = "/metrics"
# Names the folder that processes share; prometheus-client reads it
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_LABELS = ["method", "path", "status_code", "app_name"]
_REQUESTS = Counter("http_requests_total", "Total requests", _LABELS)
_ERRORS = Counter("http_requests_error_total", "Total errors in requests", _LABELS)
_SECONDS = Histogram("http_request_duration_seconds", "Request duration, in seconds", _LABELS)
# More than there are combinations of method, route and status
_MAX_SERIES = 2048


def observe(scope: Mapping[str, Any], status: int, seconds: float) -> None:
    """Record a request, unless it matched no route or its client disconnected (status 0).

    The path is recorded as its route's template: a series for each invite code would be too many.
    """
    route = scope.get("path_template")
    if route is None or not status:
        return
    series = _series(scope["method"], route, status)
    series.requests.inc()
    series.seconds.observe(seconds)
    if series.errors is not None:
        series.errors.inc()


def controller(token: str | None, *, in_production: bool) -> type[Controller]:
    """Return the controller of `/metrics`.

    token: the bearer token that it requires. If None, it responds 404 in production, and to
    everybody in development.
    """

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        if token is None:
            if in_production:
                raise NotFound(reason="no REFERRAL_METRICS_TOKEN")
        else:
            given = ", ".join(connection.headers.getall("authorization", []))
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                raise Unauthorized(
                    "Send REFERRAL_METRICS_TOKEN as `Authorization: Bearer ...`.",
                    reason="missing or wrong metrics token",
                )
        _remove_dead_processes()

    return type("Metrics", (PrometheusController,), {"guards": [guard], "include_in_schema": False})


class _Series(NamedTuple):
    requests: Counter
    seconds: Histogram
    errors: Counter | None


@lru_cache(maxsize=_MAX_SERIES)
def _series(method: str, path: str, status: int) -> _Series:
    labels = (method, path, str(status), "referral")
    errors = _ERRORS.labels(*labels) if status >= _SERVER_ERROR else None
    return _Series(_REQUESTS.labels(*labels), _SECONDS.labels(*labels), errors)


def _remove_dead_processes() -> None:
    """Remove the live gauges of processes that were killed, so that they no longer count."""
    folder = os.environ.get(FOLDER_VARIABLE)
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
