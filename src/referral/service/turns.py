"""Turns: tasks of one process that would queue at one row of the database wait here instead.

Each task that waits at a row holds one of the pool's few connections. A burst at one phone would
hold them all, and every other request would wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from referral.core.room import Room


class Turns:
    """A lock for each key, and requests that do not count as concurrent while they wait for it."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, key: str) -> AsyncIterator[None]:
        """Let one task of a key past at a time, in the order of their arrival."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        with self._room.aside():
            await lock.acquire()
        try:
            yield
        finally:
            lock.release()
