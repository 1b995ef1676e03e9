"""What a delivery may take, and how it fails. Apart from receiver.py, which imports httpx."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

# In all: the connection, the request and the status of the answer
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that was not acknowledged."""

    reason: str
    """A status or the kind of an error: nothing that the receiver wrote."""
    no_connection: bool = False
    """Whether the receiver was not there at all, so that it says nothing of the event."""
    gone: bool = False
    """Whether it said 410: it wants no more events."""
    retry_after: timedelta = timedelta()
    """How long it asked to be left alone."""
