"""The format of a process's log: text for people, or JSON lines in production."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from referral.core import phone as phones
from referral.observability import log

# Errors of libraries may quote phones, and those of a database the values of a statement
_PHONE = re.compile(r"(?:\+|%2B)([1-9][0-9]{6,14})(?![0-9])", re.IGNORECASE)
# ANSI colours: green, yellow, red
_COLOURS = {"info": 32, "warning": 33, "error": 31, "critical": 31}
_EVENT_WIDTH = 24
_encoder = msgspec.json.Encoder(enc_hook=repr)

Render = Callable[[dict[str, Any]], str]


def configure(*, as_json: bool) -> None:
    """Write this process's events, and what libraries log, to stderr in one format."""
    render = _as_json if as_json else _as_text

    def write(level: int, event: dict[str, Any]) -> None:
        _print(_line(level, event, render))

    # Without `logging`, which takes three times as long for a line
    log.logger.write = write
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(render))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # At INFO these libraries log each step, some with addresses and phones
    for name in ("tortoise", "httpx", "httpcore", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Formatter(logging.Formatter):
    """A formatter that writes the records of libraries in the format of our events."""

    def __init__(self, render: Render) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {"event": record.getMessage()}
        if record.exc_info and record.exc_info[1]:
            event["exc_info"] = record.exc_info[1]
        return _line(record.levelno, event, self._render)


def _print(line: str) -> None:
    """Write a line. A line that cannot be written (a full disk) is dropped without an error."""
    # AttributeError: a process may have no stderr at all
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.buffer.write(line.encode(errors="backslashreplace") + b"\n")
        sys.stderr.buffer.flush()


def _line(level: int, event: dict[str, Any], render: Render) -> str:
    event["level"] = logging.getLevelName(level).lower()
    now = datetime.now(UTC)  # noqa: TID251 - a timestamp; no rule depends on it
    event["timestamp"] = now.replace(tzinfo=None).isoformat() + "Z"
    if error := event.pop("exc_info", None):
        event["exception"] = "".join(traceback.format_exception(error)).removesuffix("\n")
    return render({name: _masked(value) for name, value in event.items()})


def _masked(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _PHONE.sub(lambda found: phones.mask(f"+{found[1]}"), value)


def _as_json(event: dict[str, Any]) -> str:
    try:
        return _encoder.encode(event).decode()
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(event, default=repr)


def _as_text(event: dict[str, Any]) -> str:
    at, level, name = event.pop("timestamp"), event.pop("level"), event.pop("event")
    exception = event.pop("exception", None)
    label = f"[{level:<8}]"
    if level in _COLOURS and sys.stderr is not None and sys.stderr.isatty():
        label = f"\x1b[{_COLOURS[level]}m{label}\x1b[0m"
    facts = " ".join(f"{fact}={_quoted(value)}" for fact, value in event.items())
    # A library's message may contain line breaks and terminal control sequences
    name = name if name.isprintable() else repr(name)
    line = f"{at} {label} {name:<{_EVENT_WIDTH}} {facts}".rstrip()
    return f"{line}\n{exception}" if exception else line


def _quoted(value: Any) -> str:
    """Return a value as text, quoted if it is empty or has spaces or unprintable characters."""
    text = str(value)
    return text if text.isprintable() and text and " " not in text else repr(text)
