"""The queue for PostgreSQL's connections, and what waits for a lock without holding one."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from referral.core.concurrency import BURST, ConcurrencyLimiter
from referral.limits import keyed_locks
from referral.limits.keyed_locks import KeyedLocks
from referral.limits.scope import LimitScope
from referral.storage import configuration, database, users
from referral.storage.engines import asyncpg
from referral.storage.engines.asyncpg import FairQueue
from support import Service, context_of, ok, refused

BUSY = 2 * configuration.POOL_SIZE


async def test_a_task_that_asks_again_lets_others_go_first(service: Service) -> None:
    """It does even if it releases its connection and immediately asks for another."""
    del service
    responses = [0] * BUSY

    async def ask(place: int) -> None:
        while not all(responses):
            await database.query("SELECT 1 AS one")
            responses[place] += 1

    async with asyncio.timeout(30):
        await asyncio.gather(*(ask(place) for place in range(BUSY)))


async def test_guesses_at_one_phone_hold_one_connection(service: Service) -> None:
    """Right guesses for a blocked user are refunded, so no limit ends them."""
    person = await service.sign_in()
    await users.set_fields(UUID(person.id()), is_blocked=True)
    sent = await service.send_code(person.phone)
    guesses = [asyncio.create_task(service.verify(sent)) for _ in range(BUSY)]
    in_use = []
    while not all(guess.done() for guess in guesses):
        in_use.append(database.pool_connections().get("in use", 0))
        await asyncio.sleep(0.001)
    for guess in guesses:
        refused(guess.result(), 403, "account_blocked")
    assert max(in_use) <= 1


async def test_a_wait_for_the_phones_lock_is_limited(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guess that is stuck in the database holds up strangers only so long, and known devices not
    at all.
    """
    monkeypatch.setattr(keyed_locks, "WAIT_SECONDS", 0.05)
    ctx, person = context_of(service), await service.sign_in()
    service.clock.move(seconds=3)
    stranger = await service.send_code(person.phone)
    service.clock.move(seconds=3)
    device = person.tokens["device_token"]
    owner = await service.send_code(person.phone, device_token=device)
    scope = LimitScope(
        phone=person.phone, address="192.0.2.1", known_device=False, key=ctx.counter_key
    )
    async with ctx.keyed_locks.hold(scope.phone_key("guesses")):
        refused(await service.verify(stranger), 503, "storage_unavailable")
        ok(await service.verify(owner))
    ok(await service.verify(stranger))


async def test_at_most_a_burst_waits_for_a_keyed_lock() -> None:
    locks = KeyedLocks(ConcurrencyLimiter())
    async with locks.hold("a phone"):
        waiting = [asyncio.create_task(_pass(locks)) for _ in range(BURST)]
        await asyncio.sleep(0)
        with pytest.raises(database.Unavailable):
            await _pass(locks)
    await asyncio.gather(*waiting)
    await _pass(locks)


async def _pass(locks: KeyedLocks) -> None:
    async with locks.hold("a phone"):
        pass


async def test_fair_queue_serves_in_order() -> None:
    queue = FairQueue()
    served: list[int] = []

    async def wait(place: int) -> None:
        served.append(await queue.get() + place)

    waiting = [asyncio.create_task(wait(place)) for place in range(3)]
    await asyncio.sleep(0)
    for _ in range(3):
        queue.put_nowait(0)
    await asyncio.gather(*waiting)
    assert served == [0, 1, 2]


@pytest.mark.parametrize("before", [True, False], ids=["before it is served", "when it is served"])
async def test_a_cancelled_waiter_takes_no_connection(*, before: bool) -> None:
    queue = FairQueue()
    cancelled, stays = (asyncio.create_task(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    if before:
        cancelled.cancel()
        queue.put_nowait("connection")
    else:
        queue.put_nowait("connection")
        cancelled.cancel()
    async with asyncio.timeout(1):
        assert await stays == "connection"
    assert cancelled.cancelled() or cancelled.cancelling()


async def test_waiting_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncpg, "ACQUIRE_SECONDS", 0.01)
    queue = FairQueue()
    with pytest.raises(TimeoutError):
        await queue.get()
    queue.put_nowait("connection")
    assert await queue.get() == "connection"


async def test_each_waiter_has_its_own_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does although all share one timer, and some ahead of them are served or cancelled."""
    monkeypatch.setattr(asyncpg, "ACQUIRE_SECONDS", 1)
    queue, loop = FairQueue(), asyncio.get_running_loop()

    async def wait() -> float:
        started = loop.time()
        try:
            await queue.get()
        except TimeoutError:
            return loop.time() - started
        return 0

    waiting = []
    for _ in range(5):
        waiting.append(asyncio.create_task(wait()))
        await asyncio.sleep(0.1)
        if len(waiting) == 2:
            queue.put_nowait("connection")
            waiting[1].cancel()
    served, cancelled, *others = await asyncio.gather(*waiting, return_exceptions=True)
    assert served == 0
    assert isinstance(cancelled, asyncio.CancelledError)
    assert [seconds for seconds in others if isinstance(seconds, float)] == pytest.approx(
        [1] * 3, abs=0.5
    )
    queue.put_nowait("connection")
    async with asyncio.timeout(1):
        assert await queue.get() == "connection"
