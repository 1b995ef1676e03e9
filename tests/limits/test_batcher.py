"""Batches of calls, without a database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from referral.limits.batcher import Batcher
from referral.storage import database


class Statements:
    """Runs each batch when it is told to, and fails those that it is told to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.goes_on = asyncio.Event()
        self.failures: list[Exception] = []

    async def run(self, calls: Sequence[int]) -> list[int]:
        self.batches.append(list(calls))
        await self.goes_on.wait()
        if self.failures:
            raise self.failures.pop(0)
        return list(calls)


@pytest.mark.parametrize("fails_waiting", [True, False])
async def test_a_timeout_fails_those_who_wait_only_if_told(*, fails_waiting: bool) -> None:
    statements = Statements()
    statements.failures.append(database.TimedOut())
    batcher: Batcher[int, int] = Batcher(
        statements.run, statements=1, calls=10, timeout_fails_waiting=fails_waiting
    )
    first = batcher.submit(1)
    await asyncio.sleep(0)
    waiting = batcher.submit(2)
    statements.goes_on.set()
    results = await asyncio.gather(first, waiting, return_exceptions=True)
    assert isinstance(results[0], database.TimedOut)
    if fails_waiting:
        assert isinstance(results[1], database.TimedOut)
    else:
        assert results[1] == 2


async def test_a_batch_has_at_most_so_many_calls() -> None:
    statements = Statements()
    batcher: Batcher[int, int] = Batcher(
        statements.run, statements=1, calls=3, timeout_fails_waiting=True
    )
    results = [batcher.submit(number) for number in range(8)]
    statements.goes_on.set()
    assert await asyncio.gather(*results) == list(range(8))
    assert [len(batch) for batch in statements.batches] == [3, 3, 2]
