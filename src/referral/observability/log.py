"""The logger, and the id of the current request.

Only the functions of observability/__init__.py write events.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

Writer = Callable[[int, dict[str, Any]], None]
"""Writes a log line. Its arguments are a level, as a number of `logging`, and the fields."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current request. It is added to every event that is logged meanwhile."""


class Logger:
    """A minimal structured logger. structlog is not used because it imports rich."""

    def __init__(self) -> None:
        # The standard library's, until log_format.configure() replaces it
        self.write: Writer = logging.getLogger("referral").log

    def info(self, event: str, **facts: Any) -> None:
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._write(logging.ERROR, event, facts)

    def _write(self, level: int, event: str, facts: dict[str, Any]) -> None:
        facts["event"] = event
        if current := request_id.get():
            facts["request_id"] = current
        self.write(level, facts)


logger = Logger()
