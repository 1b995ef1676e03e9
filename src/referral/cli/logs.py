"""How a process writes its log: lines for people, in production JSON for programs."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from typing import Any

import structlog
from structlog.processors import JSONRenderer, TimeStamper, format_exc_info
from structlog.stdlib import ProcessorFormatter, add_log_level
from structlog.typing import EventDict, Processor

from referral.core import phone as phones

# What a library puts into the text of an error, a database its values among them
_PHONE = re.compile(r"(?:\+|%2B)([1-9][0-9]{6,14})\b", re.IGNORECASE)


def configure(*, json: bool) -> None:
    """From here on every logger of this process writes to stderr in one form."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(json=json))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # They say at INFO what they are doing, some with addresses and phones
    for name in ("tortoise", "httpx", "httpcore", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)


def formatter(*, json: bool) -> ProcessorFormatter:
    """Of events and of what other libraries log alike."""
    shared: list[Processor] = [
        add_log_level,
        TimeStamper(fmt="iso", utc=True, key="timestamp"),
        format_exc_info,
        _mask_phones,
    ]
    render: Callable[..., Any] = (
        JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    return ProcessorFormatter(
        processors=[ProcessorFormatter.remove_processors_meta, *shared, render],
        keep_exc_info=True,
    )


def _mask_phones(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {
        name: _PHONE.sub(lambda found: phones.mask(f"+{found[1]}"), value)
        if isinstance(value, str)
        else value
        for name, value in event.items()
    }
