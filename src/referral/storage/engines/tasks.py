"""Tasks that run to their end, even if the caller that waits for them is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


class TaskSet:
    """The tasks that are running. asyncio itself keeps only weak references to them."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` in a task of its own, which goes on if the caller is cancelled."""
        return await asyncio.shield(self.spawn(work))

    def spawn(
        self, work: Coroutine[Any, Any, T], *, context: Context | None = None
    ) -> asyncio.Task[T]:
        """Start `work` in a task of its own."""
        task = asyncio.create_task(work, context=context)
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    async def wait(self) -> None:
        """Wait until no task is running."""
        while self._running:
            await asyncio.wait(self._running)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Mark the exception as retrieved: the caller that would read it may be gone
            task.exception()
