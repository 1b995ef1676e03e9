"""What has become of the events that were sent: noted at once, written down together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from referral import observability
from referral.storage import database
from referral.storage.models import Event
from referral.webhooks import outbox, retry
from referral.webhooks.delivery import Failure
from referral.webhooks.retry import CircuitBreaker

_GIVEN_UP_AT_ONCE = 5000
# So many different events in a row without one that gets through: it is not the events
_MOST_FAILING = 20


class Results:
    """One process's, between two times that they are written down."""

    def __init__(
        self, *, clock: Callable[[], datetime], written: Callable[[Iterable[int]], None]
    ) -> None:
        """written: told of the sequences whose results are written down, once they are."""
        self._clock = clock
        self._written = written
        self._acknowledged: list[int] = []
        self._failed: list[_Tried] = []
        # Places of what failed since anything was acknowledged
        self._failing: set[int] = set()
        self.breaker: CircuitBreaker | None = None
        # Whether the receiver's state is another than the one that is written down
        self._unsaved = False
        self._last: _Tried | None = None

    async def read_breaker(self) -> None:
        """Go on with the breaker that is written down, unless this process knows of a later one."""
        if not self._unsaved:
            self.breaker = outbox.breaker(await outbox.receiver())

    async def read_resumption(self) -> None:
        """Look whether somebody resumed what was stopped."""
        if self.breaker is not None and self.breaker.is_stopped:
            await self.read_breaker()

    def acknowledged(self, event: Event) -> None:
        self._acknowledged.append(event.sequence)
        self._failing.clear()
        # What was under way when a 410 came ends no stop
        if self.breaker is not None and not self.breaker.is_stopped:
            self.breaker, self._unsaved = None, True
            observability.receiver_back()

    def failed(self, event: Event, failure: Failure) -> None:
        now = self._clock()
        self._failing.add(event.sequence)
        self._unsaved = True
        self.breaker = self._breaker_after(failure, now)
        self._last = _Tried(event, failure, now, in_outage=self.breaker is not None)
        self._failed.append(self._last)

    def _breaker_after(self, failure: Failure, now: datetime) -> CircuitBreaker | None:
        before = self.breaker
        if before is not None and before.until is None:
            return before
        if failure.gone:
            observability.receiver_gone()
            return retry.stopped(before, now=now)
        asked = failure.retry_after
        away = failure.no_connection or asked or len(self._failing) >= _MOST_FAILING
        if before is None:
            if not away:
                return None
            observability.receiver_away(failure.reason)
        elif before.until is not None and now < before.until - asked:
            # It was under way when the breaker began
            return before
        return retry.failed_again(before, now=now, retry_after=asked)

    async def save(self) -> None:
        """Write down what there is by now. What comes meanwhile waits for the next time."""
        acknowledged, failed = self._acknowledged[:], self._failed[:]
        breaker, unsaved, last = self.breaker, self._unsaved, self._last
        if not (acknowledged or failed or unsaved):
            return
        self._unsaved = False

        async def work() -> int:
            now = self._clock()
            await outbox.acknowledge(acknowledged, now=now)
            for tried in failed:
                await _save_failure(tried)
            if unsaved:
                await outbox.save_receiver(
                    breaker,
                    error=last.failure.reason if last else None,
                    failed_at=last.at if last else None,
                )
            if not failed or breaker is None or not retry.is_over(breaker, now=now):
                return 0
            return await outbox.give_up_since(
                now - retry.GIVE_UP_AFTER,
                failed[-1].failure.reason,
                now=now,
                most=_GIVEN_UP_AT_ONCE,
            )

        try:
            given_up = await database.transaction(work)
        except BaseException:
            # Meanwhile it may have changed again
            self._unsaved = self._unsaved or unsaved
            raise
        self._written([*acknowledged, *(tried.event.sequence for tried in failed)])
        del self._acknowledged[: len(acknowledged)]
        del self._failed[: len(failed)]
        _tell(acknowledged, failed, given_up)


@dataclass(frozen=True, slots=True)
class _Tried:
    """A try that failed, at this moment."""

    event: Event
    failure: Failure
    at: datetime
    in_outage: bool
    """Whether it was the receiver's fault rather than the event's."""


async def _save_failure(tried: _Tried) -> None:
    event, reason = tried.event, tried.failure.reason
    # A 410 is no fault of the event's, and loses none
    due = event.next_attempt_at if tried.failure.gone else _next_attempt_at(tried)
    if due is None:
        await outbox.give_up(event, reason, now=tried.at)
        return
    first = event.first_attempt_at or tried.at
    if tried.failure.no_connection and event.next_attempt_at is not None:
        # No fault of this event's: it goes first once the receiver is back
        due = event.next_attempt_at
    elif tried.in_outage and not tried.failure.gone:
        # Behind the others, but not so far that none is left to find the receiver back with
        due = min(due, tried.at + retry.LONGEST_PAUSE)
    await outbox.fail(event, reason, first=first, due=due)
    if event.user_id is not None:
        await outbox.hold_back(event.user_id, until=due)


def _next_attempt_at(tried: _Tried) -> datetime | None:
    first = tried.event.first_attempt_at or tried.at
    return retry.next_attempt_at(tried.event.attempts + 1, first=first, now=tried.at)


def _tell(acknowledged: list[int], failed: list[_Tried], given_up: int) -> None:
    observability.delivered(len(acknowledged))
    for tried in failed:
        last = _next_attempt_at(tried) is None and not tried.failure.gone
        observability.delivery_failed(str(tried.event.id), tried.failure.reason, given_up=last)
    if given_up:
        observability.deliveries_given_up(given_up)
