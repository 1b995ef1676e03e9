"""How a process writes its log: lines for people, in production JSON for programs."""

from __future__ import annotations

import json
import logging
import re
import sys
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from structlog.processors import TimeStamper, format_exc_info
from structlog.stdlib import ProcessorFormatter, add_log_level
from structlog.typing import EventDict, Processor

from referral.core import phone as phones
from referral.service import log

# What a library puts into the text of an error, a database its values among them
_PHONE = re.compile(r"(?:\+|%2B)([1-9][0-9]{6,14})\b", re.IGNORECASE)
_encoder = msgspec.json.Encoder(enc_hook=repr)


def configure(*, json: bool) -> None:
    """From here on this process's events, and what libraries log, go to stderr in one form."""
    steps = _steps(json=json)
    # Not by way of logging: a line took 57 microseconds there, and takes 17
    structlog.configure(
        processors=[log.with_request_id, *steps],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Stderr(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        ProcessorFormatter(
            processors=[ProcessorFormatter.remove_processors_meta, *steps], keep_exc_info=True
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # They say at INFO what they are doing, some with addresses and phones
    for name in ("tortoise", "httpx", "httpcore", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Stderr:
    """Takes whole lines. One that cannot be written, as to a full disk, stops nobody."""

    def info(self, line: str) -> None:
        # AttributeError: a process may have no stderr at all
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.buffer.write(line.encode(errors="backslashreplace") + b"\n")
            sys.stderr.buffer.flush()

    warning = error = critical = info


def _steps(*, json: bool) -> list[Processor]:
    """What becomes of an event, from its facts to its line."""
    return [
        add_log_level,
        TimeStamper(fmt="iso", utc=True, key="timestamp"),
        format_exc_info,
        _mask_phones,
        _as_json if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
    ]


def _mask_phones(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {
        name: _PHONE.sub(lambda found: phones.mask(f"+{found[1]}"), value)
        if isinstance(value, str)
        else value
        for name, value in event.items()
    }


def _as_json(_logger: Any, _method: str, event: EventDict) -> str:
    try:
        return _encoder.encode(event).decode()
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(event, default=repr)
