"""Rules for failures: when to attempt a delivery again, and when to pause deliveries.

Either the event or the endpoint is the cause of a failure. An event that the endpoint does not
acknowledge waits longer after each attempt, and holds up only the later events of its own user. If
the endpoint is down, every event fails: a circuit breaker opens, and one event at a time is sent as
a probe until one is acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# For a whole attempt: the connection, the request and the status of the response
TIMEOUT_SECONDS = 10.0
GIVE_UP_AFTER = timedelta(days=3)
# How long events that were acknowledged or given up can be replayed
KEEP_FINISHED = timedelta(days=30)
# Seconds after the first, second, ... failed attempt; the last one repeats
_WAITS = (5, 30, 2 * 60, 10 * 60, 30 * 60, 3600, 2 * 3600, 4 * 3600, 8 * 3600)
MAX_PROBE_INTERVAL = timedelta(seconds=60)
# The longest Retry-After that is honoured
MAX_RETRY_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """Why a delivery attempt was not acknowledged."""

    reason: str
    """A status or the name of an exception, never text that the endpoint wrote."""
    no_connection: bool = False
    """Whether no connection could be made, which says nothing about the event."""
    gone: bool = False
    """Whether the status was 410 (Gone), by which an endpoint refuses all further events."""
    retry_after: timedelta = timedelta()
    """The Retry-After of the response, or zero."""


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """An open circuit breaker: deliveries to the endpoint are held back."""

    failing_since: datetime
    failures: int
    probe_at: datetime | None
    """When to send one event as a probe. None: stopped, until an operator resumes deliveries."""

    @property
    def is_stopped(self) -> bool:
        return self.probe_at is None


def next_attempt_at(attempts: int, *, first: datetime, now: datetime) -> datetime | None:
    """Return when to attempt an event again, or None to give it up.

    attempts: how many have failed, the last one just now. first: the time of the first one. The
    last attempt is made when GIVE_UP_AFTER has passed since then.
    """
    end = first + GIVE_UP_AFTER
    if now >= end:
        return None
    return min(now + timedelta(seconds=_WAITS[min(attempts, len(_WAITS)) - 1]), end)


def trip(
    breaker: CircuitBreaker | None, *, now: datetime, retry_after: timedelta = timedelta()
) -> CircuitBreaker:
    """Return the breaker after one more failure: newly opened, or open for longer.

    retry_after: what the endpoint asked for; at most MAX_RETRY_AFTER is honoured.
    """
    failures = breaker.failures + 1 if breaker else 1
    pause = min(timedelta(seconds=2 ** min(failures - 1, 10)), MAX_PROBE_INTERVAL)
    pause = max(pause, min(retry_after, MAX_RETRY_AFTER))
    return CircuitBreaker(breaker.failing_since if breaker else now, failures, now + pause)


def stop(breaker: CircuitBreaker | None, *, now: datetime) -> CircuitBreaker:
    """Return the breaker after a 410, which stays open until an operator resumes deliveries."""
    return CircuitBreaker(now, breaker.failures + 1 if breaker else 1, None)


def has_expired(breaker: CircuitBreaker, *, now: datetime) -> bool:
    """Return whether the endpoint has failed for so long that waiting events are given up."""
    return not breaker.is_stopped and now >= breaker.failing_since + GIVE_UP_AFTER
