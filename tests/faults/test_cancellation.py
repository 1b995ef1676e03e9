"""Requests that are cancelled because the client has hung up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from random import Random

import httpx

from referral.storage import configuration, database
from support import Person, Service, ok

PEOPLE = 75
BATCH_SIZE = 20


async def test_cancelled_requests_leave_nothing_locked(service: Service) -> None:
    """300 sign-ins, refreshes, activations and deletions leave no lock and no connection."""
    random = Random(3)  # noqa: S311 - the same times in each run
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    people = [await service.sign_in() for _ in range(PEOPLE)]
    sent = [await service.send_code(person.phone) for person in people]
    calls: list[Callable[[], Coroutine[None, None, httpx.Response]]] = []
    for person, challenge in zip(people, sent, strict=True):
        calls += [
            partial(service.verify, challenge),
            person.refresh,
            partial(person.activate, code),
            partial(person.call, "DELETE", "/profile"),
        ]
    random.shuffle(calls)
    cancelled = 0
    for start in range(0, len(calls), BATCH_SIZE):
        batch = [asyncio.create_task(call()) for call in calls[start : start + BATCH_SIZE]]
        for task in batch:
            asyncio.get_running_loop().call_later(random.uniform(0, 0.1), task.cancel)
        async with asyncio.timeout(30):
            await asyncio.wait(batch)
        cancelled += sum(task.cancelled() for task in batch)
        responses = [task.result() for task in batch if not task.cancelled()]
        assert [each.text for each in responses if each.status_code >= 500] == []
    assert cancelled > len(calls) / 10

    async with asyncio.timeout(30):
        await wait_until_released()
        newcomers = await asyncio.gather(
            *(service.sign_in() for _ in range(configuration.POOL_SIZE + 5))
        )
        for response in await asyncio.gather(*(person.activate(code) for person in newcomers)):
            ok(response)
    invited = await count_invitees([*people, *newcomers], code)
    assert (await inviter.profile())["invitee_count"] == invited


async def wait_until_released() -> None:
    """Wait until every connection is back in the pool, or SQLite's connection is not locked."""
    client = vars(database.connection())
    while True:
        if database.is_postgres():
            busy = client["_pool"].get_size() - client["_pool"].get_idle_size()
        else:
            busy = client["_lock"].locked()
        if not busy:
            return
        await asyncio.sleep(0.01)


async def count_invitees(people: list[Person], code: str) -> int:
    """Count the existing accounts whose profile says that they activated the code."""
    responses = await asyncio.gather(*(person.call("GET", "/profile") for person in people))
    return sum(
        each.is_success and each.json()["activated_invite_code"] == code for each in responses
    )
