"""How many requests a process works on at once, and which it refuses beyond that.

A process has one core. What it works on at once waits for that core, so an answer takes as long as
all of them together: their number bounds the time, whatever they are. Beyond its *room* requests
are refused, which costs less than serving them; reads a little before the others, since they
cost nobody anything to repeat, while a sign-in has cost a message.

A crowd that comes at one moment is no overload: so many more are let in at once, and a few more
each second (a bucket, as in buckets.py). They are served soon and leave no queue behind.

What waits for somebody else, as for a gateway that takes seconds or for who does not read the
answer, is *aside* and takes no room.
"""

from __future__ import annotations

READS = 34
WRITES = 40
BURST = 600
_REFILL_SECONDS = 60


class ConcurrencyLimiter:
    """The room of one process. Times: seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self.in_use = 0
        self._crowd: float = BURST
        self._crowd_at = 0.0

    def acquire(self, *, is_read: bool, now: float) -> bool:
        """Take room for one request; False, and nothing taken, where there is none."""
        if self.in_use >= (READS if is_read else WRITES) and not self._is_crowd(now):
            return False
        self.in_use += 1
        return True

    def release(self) -> None:
        self.in_use -= 1

    def reacquire(self) -> None:
        """Take the room again that was left for a while, for sure."""
        self.in_use += 1

    def suspended(self) -> Suspended:
        """A request in here takes no room until it comes back, and then has it for sure."""
        return Suspended(self)

    def _is_crowd(self, now: float) -> bool:
        refilled = (now - self._crowd_at) * BURST / _REFILL_SECONDS
        self._crowd, self._crowd_at = min(BURST, self._crowd + refilled), now
        if self._crowd < 1:
            return False
        self._crowd -= 1
        return True


class Suspended:
    """One request out of its room. It may wait for several things at once, and leaves it once."""

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
