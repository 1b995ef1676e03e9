"""Four processes of the service, for requests that race for rewards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from parallel_requests import assert_nothing_broke
from processes import Server
from rewards import Shop
from support import Person

SETTINGS = {
    "WEB_CONCURRENCY": "4",
    "REFERRAL_SENDS_PER_ADDRESS_HOUR": "100000",
    # Nobody listens there. With an endpoint, the events are written
    "REFERRAL_WEBHOOK_URL": "http://127.0.0.1:9/",
    "REFERRAL_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


@dataclass
class Racing:
    """Four processes on one database, and an app's backend."""

    server: Server
    database_url: str
    shop: Shop

    async def invitees(self, number: int, inviter: Person | None = None) -> list[Person]:
        """Sign up people with the code of one inviter."""
        inviter = inviter or await self.shop.service.sign_in()
        code = await inviter.invite_code()
        return [await self.shop.service.sign_in(invite_code=code) for _ in range(number)]

    async def at_once(self, calls: Iterable[Awaitable[httpx.Response]]) -> Counter[int]:
        """Run calls at once; count their responses by status."""
        return Counter(each.status_code for each in await self.responses(calls))

    async def responses(self, calls: Iterable[Awaitable[httpx.Response]]) -> list[httpx.Response]:
        responses = await asyncio.gather(*calls)
        assert_nothing_broke(responses, self.server)
        return responses


def reverse(shop: Shop, event_id: str) -> Coroutine[Any, Any, httpx.Response]:
    return shop.call("POST", f"/events/{event_id}*/reverse", json={"reason": "refund"})


def change(shop: Shop, person: Person, *, blocks: bool) -> Coroutine[Any, Any, httpx.Response]:
    """Block a user, or else delete the account."""
    if blocks:
        return shop.call("PATCH", f"/users/{person.id()}", json={"is_blocked": True})
    return shop.call("DELETE", f"/users/{person.id()}")
