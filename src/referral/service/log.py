"""The log: of which request a line is, and where lines go at first. outcomes.py writes them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import structlog
from structlog.typing import EventDict

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request under way, for every line about it."""


def with_request_id(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A processor of structlog's: of which request a line is."""
    if given := request_id.get():
        event["request_id"] = given
    return event


# Until logs.py says where lines go: to logging, with whatever listens there
structlog.configure_once(
    processors=[with_request_id, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
)
logger: structlog.typing.FilteringBoundLogger = structlog.get_logger("referral")
"""For outcomes.py alone."""
