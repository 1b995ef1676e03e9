"""The log: of which request a line is, and where lines go at first. outcomes.py writes them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

Writer = Callable[[int, dict[str, Any]], None]
"""Takes a level, as logging numbers them, and an event with its facts."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request under way, for every line about it."""


class Logger:
    """Writes events. Not by structlog, which imports rich."""

    def __init__(self) -> None:
        # Until log_format.configure() sets another: the standard logging
        self.write: Writer = logging.getLogger("referral").log

    def info(self, event: str, **facts: Any) -> None:
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._write(logging.ERROR, event, facts)

    def _write(self, level: int, event: str, facts: dict[str, Any]) -> None:
        facts["event"] = event
        if given := request_id.get():
            facts["request_id"] = given
        self.write(level, facts)


logger = Logger()
"""For outcomes.py alone."""
