"""Turns: tasks of one process that would queue at one row of the database wait here instead.

Each task that waits at a row holds one of the pool's few connections. A burst at one phone would
hold them all, and every other request would wait for it.
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

    A request that waits does not count against the limit of concurrent requests. So there is a
    limit of its own for them, as many as a burst may have.
    """

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self._limiter = limiter
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting = 0

    @asynccontextmanager
    async def take(self, key: str) -> AsyncIterator[None]:
        """Let one task of a key past at a time, in the order of their arrival.

        Raises Unavailable if its turn does not come in time, or too many wait.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        await self._wait(lock)
        try:
            yield
        finally:
            lock.release()

    async def _wait(self, lock: asyncio.Lock) -> None:
        if self._waiting >= BURST:
            raise database.Unavailable("too many wait for their turn")
        self._waiting += 1
        try:
            with self._limiter.suspended():
                async with asyncio.timeout(WAIT_SECONDS):
                    await lock.acquire()
        except TimeoutError as error:
            raise database.TimedOut("no turn in time") from error
        finally:
            self._waiting -= 1
