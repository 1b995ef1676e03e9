"""Record the outcomes of delivery attempts, and open and close the circuit breaker.

Outcomes are recorded in memory immediately and saved together, in one transaction for each round of
the dispatcher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from referral import observability
from referral.storage import database
from referral.storage.models import Event
from referral.webhooks import outbox, retry
from referral.webhooks.retry import CircuitBreaker, DeliveryFailure

_GIVE_UP_BATCH = 5000
# If so many different events fail in a row, the endpoint is considered down
_BREAKER_THRESHOLD = 20


class Recorder:
    """The unsaved outcomes of one process, and its view of the circuit breaker."""

    def __init__(
        self, *, clock: Callable[[], datetime], on_saved: Callable[[Iterable[int]], None]
    ) -> None:
        """on_saved(sequences): called with the events whose outcomes have been saved."""
        self._clock = clock
        self._on_saved = on_saved
        self._acknowledged: list[int] = []
        self._failed: list[_FailedAttempt] = []
        # Sequences of the events that failed since the last acknowledgement
        self._failing: set[int] = set()
        self.breaker: CircuitBreaker | None = None
        # Whether the breaker or the last failure has changed since it was saved
        self._is_dirty = False
        self._last_failed: _FailedAttempt | None = None

    async def load_breaker(self) -> None:
        """Continue with the saved breaker, unless this process has a newer one."""
        if not self._is_dirty:
            self.breaker = outbox.breaker_of(await outbox.endpoint_state())

    async def check_resumed(self) -> None:
        """If deliveries are stopped, check whether an operator has resumed them."""
        if self.breaker is not None and self.breaker.is_stopped:
            await self.load_breaker()

    def record_acknowledged(self, event: Event) -> None:
        self._acknowledged.append(event.sequence)
        self._failing.clear()
        # Not if deliveries are stopped: this attempt may have started before the 410
        if self.breaker is not None and not self.breaker.is_stopped:
            self.breaker, self._is_dirty = None, True
            observability.endpoint_recovered()

    def record_failed(self, event: Event, failure: DeliveryFailure) -> None:
        now = self._clock()
        self._failing.add(event.sequence)
        self._is_dirty = True
        self.breaker = self._breaker_after(failure, now)
        self._last_failed = _FailedAttempt(
            event, failure, now, breaker_open=self.breaker is not None
        )
        self._failed.append(self._last_failed)

    def _breaker_after(self, failure: DeliveryFailure, now: datetime) -> CircuitBreaker | None:
        before = self.breaker
        if before is not None and before.probe_at is None:
            return before
        if failure.gone:
            observability.endpoint_gone()
            return retry.stop(before, now=now)
        asked = failure.retry_after
        if before is None:
            if not (failure.no_connection or asked or len(self._failing) >= _BREAKER_THRESHOLD):
                return None
            observability.endpoint_failing(failure.reason)
        elif before.probe_at is not None and now < before.probe_at - asked:
            # The attempt was already running when the breaker opened
            return before
        return retry.trip(before, now=now, retry_after=asked)

    async def save(self) -> None:
        """Save the outcomes so far. Those recorded meanwhile are left for the next call."""
        acknowledged, failed = self._acknowledged[:], self._failed[:]
        breaker, is_dirty, last = self.breaker, self._is_dirty, self._last_failed
        if not (acknowledged or failed or is_dirty):
            return
        self._is_dirty = False

        async def work() -> int:
            now = self._clock()
            await outbox.acknowledge(acknowledged, now=now)
            for attempt in failed:
                await _save_failure(attempt)
            if is_dirty:
                await outbox.save_endpoint_state(
                    breaker,
                    error=last.failure.reason if last else None,
                    failed_at=last.at if last else None,
                )
            if not failed or breaker is None or not retry.has_expired(breaker, now=now):
                return 0
            return await outbox.give_up_due_since(
                now - retry.GIVE_UP_AFTER, failed[-1].failure.reason, now=now, limit=_GIVE_UP_BATCH
            )

        try:
            given_up = await database.transaction(work)
        except BaseException:
            self._is_dirty |= is_dirty
            raise
        self._on_saved([*acknowledged, *(attempt.event.sequence for attempt in failed)])
        del self._acknowledged[: len(acknowledged)]
        del self._failed[: len(failed)]
        _report(acknowledged, failed, given_up)


@dataclass(frozen=True, slots=True)
class _FailedAttempt:
    """A delivery attempt that failed at the time `at`."""

    event: Event
    failure: DeliveryFailure
    at: datetime
    breaker_open: bool
    """Whether the endpoint is considered down, so that the event is not the cause."""


async def _save_failure(attempt: _FailedAttempt) -> None:
    event, failure = attempt.event, attempt.failure
    # The event is not the cause of a 410, so it is not given up because of one
    due = event.next_attempt_at if failure.gone else _next_attempt_at(attempt)
    if due is None:
        await outbox.give_up(event, failure.reason, now=attempt.at)
        return
    first = event.first_attempt_at or attempt.at
    if failure.no_connection and event.next_attempt_at is not None:
        # The event is not the cause here either: it is sent first once the endpoint is back
        due = event.next_attempt_at
    elif attempt.breaker_open and not failure.gone:
        # Behind the other events, but soon enough that an event is due for the next probe
        due = min(due, attempt.at + retry.MAX_PROBE_INTERVAL)
    await outbox.fail(event, failure.reason, first_attempt_at=first, next_attempt_at=due)
    if event.user_id is not None:
        await outbox.postpone(event.user_id, until=due)


def _next_attempt_at(attempt: _FailedAttempt) -> datetime | None:
    first = attempt.event.first_attempt_at or attempt.at
    return retry.next_attempt_at(attempt.event.attempts + 1, first=first, now=attempt.at)


def _report(acknowledged: list[int], failed: list[_FailedAttempt], given_up_due: int) -> None:
    observability.events_delivered(len(acknowledged))
    for attempt in failed:
        given_up = _next_attempt_at(attempt) is None and not attempt.failure.gone
        observability.delivery_failed(
            str(attempt.event.id), attempt.failure.reason, given_up=given_up
        )
    if given_up_due:
        observability.deliveries_given_up(given_up_due)
