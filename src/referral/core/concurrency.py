"""A limiter of the requests that a process works on at the same time.

A process uses one core. Requests that it works on at the same time share that core, so each takes
as long as all of them together: a limit on their number bounds the response time, whatever they do.
Requests over the limit are refused, which costs less than serving them. Reads are refused a little
earlier than other requests: repeating a read is free, while a refused sign-in has cost a message.

A burst of requests that arrive together is not overload: it is served soon and leaves no queue
behind. So `BURST` requests are admitted above the limit, an allowance that refills over a minute
(a token bucket).

A request that waits for something external, such as a gateway that takes seconds or a client that
is slow to read its response, is *suspended*: it holds no slot meanwhile.
"""

from __future__ import annotations

# Once so many slots are in use, a further read or other request uses the burst allowance
READS = 34
WRITES = 40
BURST = 600
_REFILL_SECONDS = 60


class ConcurrencyLimiter:
    """The slots of one process. Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self.in_use = 0
        self._burst_left: float = BURST
        self._refilled_at = 0.0

    def acquire(self, *, is_read: bool, now: float) -> bool:
        """Take a slot for one request. Return False, and take nothing, if none is free."""
        if self.in_use >= (READS if is_read else WRITES) and not self._take_from_burst(now):
            return False
        self.in_use += 1
        return True

    def release(self) -> None:
        """Free the slot of one request."""
        self.in_use -= 1

    def reacquire(self) -> None:
        """Take back a suspended request's slot, even above the limit."""
        self.in_use += 1

    def suspended(self) -> Suspended:
        """Release this request's slot while it waits on something external.

        It is taken back afterwards, even above the limit.
        """
        return Suspended(self)

    def _take_from_burst(self, now: float) -> bool:
        refill = (now - self._refilled_at) * BURST / _REFILL_SECONDS
        self._burst_left, self._refilled_at = min(BURST, self._burst_left + refill), now
        if self._burst_left < 1:
            return False
        self._burst_left -= 1
        return True


class Suspended:
    """The suspension of one request: several waits at the same time, but one slot."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self._limiter = limiter
        self._waits = 0

    def __enter__(self) -> None:
        if not self._waits:
            self._limiter.release()
        self._waits += 1

    def __exit__(self, *_: object) -> None:
        self._waits -= 1
        if not self._waits:
            self._limiter.reacquire()
