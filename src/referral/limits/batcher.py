"""Batches of calls: those that arrive while earlier statements run share the next statement.

One statement and one commit for many calls cost the database less than one for each, and calls
that change the same row do not wait for each other there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextvars import Context
from typing import Generic, TypeVar

from msgspec import Struct

from referral.storage import database

C = TypeVar("C")
R = TypeVar("R")
Run = Callable[[Sequence[C]], Awaitable[Sequence[R]]]


class _Call(Struct, Generic[C, R], frozen=True):
    """A call that waits for its result. keys: no two calls of a batch have one in common."""

    request: C
    keys: AbstractSet[str]
    result: asyncio.Future[R]


class Batcher(Generic[C, R]):
    """Runs calls in batches, in the order of their arrival.

    run: runs a batch in one statement and returns each call's result. statements: how many run at
    the same time. calls: how many a batch has at most. timeout_fails_waiting: whether a timeout
    also fails the calls that arrived meanwhile, because a client waits for each.
    """

    def __init__(
        self, run: Run[C, R], *, statements: int, calls: int, timeout_fails_waiting: bool
    ) -> None:
        self._run = run
        self._timeout_fails_waiting = timeout_fails_waiting
        self._statements, self._calls = statements, calls
        self._waiting: deque[_Call[C, R]] = deque()
        self._running = 0

    def submit(self, request: C, *, keys: AbstractSet[str] = frozenset()) -> asyncio.Future[R]:
        """Run a call with the next batch, unless its future is cancelled before that.

        A call that has a key in common with an earlier one waits for a later batch. The future
        raises what the batch raised.
        """
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(request, keys, result))
        if self._running < self._statements:
            self._running += 1
            # In an empty context: in the caller's, a transaction may be open
            database.spawn(self._run_batches(), context=Context())
        return result

    async def _run_batches(self) -> None:
        try:
            while batch := self._next_batch():
                try:
                    results = await self._run([call.request for call in batch])
                except BaseException as error:  # noqa: BLE001 - raised by each call
                    _fail(batch, error)
                    if self._timeout_fails_waiting and isinstance(error, database.TimedOut):
                        _fail(self._waiting, error)
                        self._waiting.clear()
                    continue
                for call, result in zip(batch, results, strict=True):
                    if not call.result.done():
                        call.result.set_result(result)
        finally:
            self._running -= 1

    def _next_batch(self) -> list[_Call[C, R]]:
        batch: list[_Call[C, R]] = []
        later: list[_Call[C, R]] = []
        keys: set[str] = set()
        while self._waiting and len(batch) < self._calls:
            call = self._waiting.popleft()
            if call.result.done():  # cancelled
                continue
            if keys.isdisjoint(call.keys):
                batch.append(call)
                keys |= call.keys
            else:
                later.append(call)
        self._waiting.extendleft(reversed(later))
        return batch


def _fail(calls: Iterable[_Call[C, R]], error: BaseException) -> None:
    for call in calls:
        if not call.result.done():
            call.result.set_exception(error)
