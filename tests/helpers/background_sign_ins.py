"""Users who sign in continuously while a test restarts, upgrades or backs up the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx

from support import Clock, Inbox, Service, ok

CONCURRENCY = 4


class SignIns:
    """The phones of users who completed a sign-in, and the failures of the others."""

    def __init__(self) -> None:
        self.phones: list[str] = []
        self.failures: list[str] = []
        self._changed = asyncio.Condition()

    async def note(self, phone: str | None, failure: str | None = None) -> None:
        async with self._changed:
            self.phones += [] if phone is None else [phone]
            self.failures += [] if failure is None else [failure]
            self._changed.notify_all()

    async def wait_for_more(self) -> None:
        """Wait until enough users have signed in that some began after this call, or one failed."""
        enough = len(self.phones) + 2 * CONCURRENCY
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: len(self.phones) >= enough or self.failures)


@asynccontextmanager
async def background_sign_ins(
    connect: Callable[[], httpx.AsyncClient], *, invite_code: str | None = None
) -> AsyncIterator[SignIns]:
    """Let four users at a time sign in and refresh their tokens, until the block ends."""
    sign_ins, ended = SignIns(), asyncio.Event()
    more = {} if invite_code is None else {"invite_code": invite_code}

    async def sign_in_repeatedly() -> None:
        async with connect() as http:
            service = Service(http, Clock(), Inbox())
            while not ended.is_set():
                try:
                    person = await service.sign_in(**more)
                    ok(await person.refresh())
                except (AssertionError, httpx.TransportError) as error:
                    await sign_ins.note(None, repr(error))
                else:
                    await sign_ins.note(person.phone)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(sign_in_repeatedly())
        try:
            yield sign_ins
        finally:
            ended.set()
