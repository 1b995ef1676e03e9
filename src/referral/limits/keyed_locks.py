"""A lock for each key, for tasks of one process that would otherwise wait for the same row.

Each task that waits for a row holds one of the pool's few connections. A burst of requests about
one phone would hold them all, and every other request would wait for a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from referral.core.concurrency import BURST, ConcurrencyLimiter
from referral.storage import database

# As long as a task waits for one of the pool's connections
WAIT_SECONDS = 5


class KeyedLocks:
    """One lock for each key.

    A request that waits for a lock is suspended in the ConcurrencyLimiter. So there is a separate
    limit on how many wait: as many as may arrive in a burst.
    """

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self._limiter = limiter
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting = 0

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[None]:
        """Hold the lock of a key; tasks get it in the order of their arrival.

        Raises Unavailable if it is not free in time, or if too many tasks wait.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        await self._acquire(lock)
        try:
            yield
        finally:
            lock.release()

    async def _acquire(self, lock: asyncio.Lock) -> None:
        if self._waiting >= BURST:
            raise database.Unavailable("too many tasks wait for a lock")
        self._waiting += 1
        try:
            with self._limiter.suspended():
                async with asyncio.timeout(WAIT_SECONDS):
                    await lock.acquire()
        except TimeoutError as error:
            raise database.TimedOut("no lock in time") from error
        finally:
            self._waiting -= 1
