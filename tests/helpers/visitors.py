"""People who use the service all the while something is done to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx

from support import Clock, Inbox, Service, ok

AT_ONCE = 4


class Visits:
    """What became of them. failures: what was not answered well."""

    def __init__(self) -> None:
        self.phones: list[str] = []
        self.failures: list[str] = []
        self._news = asyncio.Condition()

    async def note(self, phone: str | None, failure: str | None = None) -> None:
        async with self._news:
            self.phones += [] if phone is None else [phone]
            self.failures += [] if failure is None else [failure]
            self._news.notify_all()

    async def become_more(self) -> None:
        """Wait until several more people have signed in, from their first step to their last."""
        enough = len(self.phones) + 2 * AT_ONCE
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(lambda: len(self.phones) >= enough or self.failures)


@asynccontextmanager
async def visited(
    connect: Callable[[], httpx.AsyncClient], *, invite_code: str | None = None
) -> AsyncIterator[Visits]:
    """Four people at a time sign in, with this invite code, and refresh, until the block ends."""
    visits, ended = Visits(), asyncio.Event()
    more = {} if invite_code is None else {"invite_code": invite_code}

    async def visit() -> None:
        async with connect() as http:
            service = Service(http, Clock(), Inbox())
            while not ended.is_set():
                try:
                    person = await service.sign_in(**more)
                    ok(await person.refresh())
                except (AssertionError, httpx.TransportError) as error:
                    await visits.note(None, repr(error))
                else:
                    await visits.note(person.phone)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(visit())
        try:
            yield visits
        finally:
            ended.set()
