"""More requests than a process can work on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from referral.core.room import CROWD, OTHERS, READS
from referral.gateways import Message
from support import Inbox, Person, Service, new_phone, ok, parts_of, refused, running

MANY = READS + CROWD + 100
ORIGIN = "https://app.example.com"


@dataclass
class Slow(Inbox):
    """A gateway that takes as long as a test wants."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Message) -> None:
        await self.go_on.wait()
        await super().send(message)


async def overload(person: Person, **headers: str) -> Counter[int]:
    """Read the profile so many times at once that not all get in."""
    answers = await asyncio.gather(
        *(person.call("GET", "/profile", headers=headers) for _ in range(MANY))
    )
    for answer in answers:
        if answer.status_code != 200:
            refused(answer, 503, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["x-request-id"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers.get("access-control-allow-origin") == headers.get("Origin")
    return Counter(answer.status_code for answer in answers)


async def test_what_is_beyond_the_room_is_refused_and_the_rest_is_served(service: Service) -> None:
    person = await service.sign_in()
    counted = await overload(person)
    assert counted.keys() == {200, 503}
    assert counted[200] >= READS
    ok(await person.call("GET", "/profile"))
    assert parts_of(service).room.taken == 0
    metrics = (await service.get("/metrics")).text
    assert 'referral_failures_total{error="overloaded"}' in metrics


async def test_health_and_metrics_are_never_refused(service: Service) -> None:
    person = await service.sign_in()
    paths = ["/health/live", "/health/ready", "/metrics"]
    overloaded = asyncio.create_task(overload(person))
    await asyncio.sleep(0)
    answers = await asyncio.gather(*(service.get(path) for path in paths * 3))
    counted = await overloaded
    assert counted[503]
    assert {answer.status_code for answer in answers} == {200}


async def test_a_page_of_an_allowed_origin_may_read_that_it_was_refused(database_url: str) -> None:
    async with running(database_url, REFERRAL_CORS_ORIGINS=ORIGIN) as service:
        assert (await overload(await service.sign_in(), Origin=ORIGIN))[503]


@pytest.mark.parametrize("number", [2 * OTHERS])
async def test_what_waits_for_a_gateway_is_no_overload(database_url: str, number: int) -> None:
    gateway = Slow()
    gateway.go_on.set()
    async with running(
        database_url, inbox=gateway, REFERRAL_SENDS_PER_ADDRESS_HOUR="100000"
    ) as service:
        person = await service.sign_in()
        await overload(person)
        gateway.go_on.clear()
        sending = []
        for _ in range(number):
            sending.append(asyncio.create_task(service.send_code(new_phone())))
            # Until it is at the gateway
            await asyncio.sleep(0.02)
        ok(await person.call("GET", "/profile"))
        gateway.go_on.set()
        assert len(await asyncio.gather(*sending)) == number
    assert len(gateway.messages) == number + 1


async def test_who_sends_a_body_slowly_takes_no_room(service: Service) -> None:
    person = await service.sign_in()
    # So that no room is left for a crowd
    await overload(person)
    go_on = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"refresh_token":'
        await go_on.wait()
        yield b' "x"}'

    headers = {"Content-Type": "application/json"}
    slow = [
        asyncio.create_task(
            service.http.post("/api/v1/auth/logout", content=body(), headers=headers)
        )
        for _ in range(2 * OTHERS)
    ]
    await asyncio.sleep(0.1)
    assert parts_of(service).room.taken == 0
    ok(await person.call("GET", "/profile"))
    go_on.set()
    # All of them go on at one moment, as a crowd
    assert {answer.status_code for answer in await asyncio.gather(*slow)} == {204}
