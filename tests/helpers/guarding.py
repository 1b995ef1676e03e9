"""The service with its cost guard, and pumped messages: sends that no sign-in follows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count

import httpx

from referral.storage import database
from support import Inbox, Service, context_of, new_address, ok, refused, running

# The allowances of a range, an address, and a country in which nobody signs in
RANGE, ADDRESS, COUNTRY = 12, 24, 50

_ranges = count(1)
_hours = count(1)


def phone_of_new_range() -> str:
    """Return a Russian phone in a range that no test has used yet in this process."""
    return f"+79{next(_ranges):05}0001"


@asynccontextmanager
async def guarded(
    database_url: str,
    inbox: Inbox | None = None,
    start: datetime | None = None,
    /,
    **variables: str,
) -> AsyncIterator[Service]:
    """Run the service behind one proxy, from a full hour on, because debt is forgiven as the hour
    passes. start: that hour, by default one that no other test in this process has.
    """
    variables = {"REFERRAL_TRUSTED_PROXIES": "1", "REFERRAL_COST_GUARD": "block", **variables}
    async with running(database_url, start, inbox=inbox, **variables) as service:
        if start is None:
            service.clock.move(
                seconds=3600 * (24 * next(_hours) + 1) - service.clock().timestamp() % 3600
            )
        yield service


async def send(
    service: Service, phone: str | None = None, address: str | None = None, **more: str
) -> httpx.Response:
    """Ask for a code, for a phone in a new range and from a new address unless they are given."""
    return await service.http.post(
        "/api/v1/auth/send-code",
        json={"phone": phone or phone_of_new_range(), **more},
        headers={"X-Forwarded-For": address or new_address()},
    )


async def pump(service: Service, messages: int, address: str | None = None) -> None:
    for _ in range(messages):
        ok(await send(service, address=address))


def blocked(response: httpx.Response, segment: str = "country") -> int:
    """Check that the cost guard refused a request; return the seconds in Retry-After."""
    refused(response, 429, "too_many_requests")
    seconds = int(response.headers["retry-after"])
    assert response.headers["ratelimit"] == f'"cost-guard-{segment}";r=0;t={seconds}'
    size = {"range": RANGE, "address": ADDRESS, "country": COUNTRY}[segment]
    assert response.headers["ratelimit-policy"] == f'"cost-guard-{segment}";q={size};w=43200'
    return seconds


async def save(service: Service) -> None:
    """Do what every process does every two seconds."""
    await context_of(service).traffic.save(service.clock())


async def rows() -> dict[str, tuple[int, int]]:
    """Return the sends and sign-ins of each key."""
    found = await database.query("SELECT key, sends, sign_ins FROM traffic_counts")
    return {row["key"]: (row["sends"], row["sign_ins"]) for row in found}
