"""Who waits for one of PostgreSQL's connections."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from referral.core.concurrency import BURST, ConcurrencyLimiter
from referral.limits import keyed_locks
from referral.limits.guess_policy import LimitScope
from referral.limits.keyed_locks import KeyedLocks
from referral.storage import configuration, database, users
from referral.storage.engines import asyncpg
from referral.storage.engines.asyncpg import FairQueue
from support import Service, context_of, ok, refused

BUSY = 2 * configuration.POOL_SIZE


async def test_who_asks_again_at_once_lets_the_others_go_first(service: Service) -> None:
    """However fast a task gives its connection back and takes it again."""
    del service
    answered = [0] * BUSY

    async def ask(place: int) -> None:
        while not all(answered):
            await database.query("SELECT 1 AS one")
            answered[place] += 1

    async with asyncio.timeout(30):
        await asyncio.gather(*(ask(place) for place in range(BUSY)))


async def test_guesses_at_one_phone_hold_one_connection(service: Service) -> None:
    """Right guesses of a blocked user leave the challenge valid, so no budget ends them."""
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


async def test_a_turn_that_does_not_come_is_given_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guess that is stuck in the database holds up no other for longer, nor a known device."""
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
    async with ctx.keyed_locks.take(scope.of_phone("guesses")):
        refused(await service.verify(stranger), 503, "storage_unavailable")
        ok(await service.verify(owner))
    ok(await service.verify(stranger))


async def test_no_more_than_a_burst_wait_for_turns() -> None:
    queue = KeyedLocks(ConcurrencyLimiter())
    async with queue.take("a phone"):
        waiting = [asyncio.create_task(_pass(queue)) for _ in range(BURST)]
        await asyncio.sleep(0)
        with pytest.raises(database.Unavailable):
            await _pass(queue)
    await asyncio.gather(*waiting)
    await _pass(queue)


async def _pass(queue: KeyedLocks) -> None:
    async with queue.take("a phone"):
        pass


async def test_a_line_serves_in_the_order_of_coming() -> None:
    line = FairQueue()
    served: list[int] = []

    async def wait(place: int) -> None:
        served.append(await line.get() + place)

    waiting = [asyncio.create_task(wait(place)) for place in range(3)]
    await asyncio.sleep(0)
    for _ in range(3):
        line.put_nowait(0)
    await asyncio.gather(*waiting)
    assert served == [0, 1, 2]


@pytest.mark.parametrize("before", [True, False], ids=["before its turn", "at its turn"])
async def test_who_goes_away_from_the_line_takes_nothing_along(*, before: bool) -> None:
    line = FairQueue()
    goes, stays = (asyncio.create_task(line.get()) for _ in range(2))
    await asyncio.sleep(0)
    if before:
        goes.cancel()
        line.put_nowait("connection")
    else:
        line.put_nowait("connection")
        goes.cancel()
    async with asyncio.timeout(1):
        assert await stays == "connection"
    assert goes.cancelled() or goes.cancelling()


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncpg, "ACQUIRE_SECONDS", 0.01)
    line = FairQueue()
    with pytest.raises(TimeoutError):
        await line.get()
    line.put_nowait("connection")
    assert await line.get() == "connection"


async def test_each_gives_up_after_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though one timer is for all, and some ahead of them were served or went away."""
    monkeypatch.setattr(asyncpg, "ACQUIRE_SECONDS", 1)
    line, loop = FairQueue(), asyncio.get_running_loop()

    async def wait() -> float:
        begun = loop.time()
        try:
            await line.get()
        except TimeoutError:
            return loop.time() - begun
        return 0

    waiting = []
    for _ in range(5):
        waiting.append(asyncio.create_task(wait()))
        await asyncio.sleep(0.1)
        if len(waiting) == 2:
            line.put_nowait("connection")
            waiting[1].cancel()
    served, gone, *others = await asyncio.gather(*waiting, return_exceptions=True)
    assert served == 0
    assert isinstance(gone, asyncio.CancelledError)
    assert [seconds for seconds in others if isinstance(seconds, float)] == pytest.approx(
        [1] * 3, abs=0.5
    )
    line.put_nowait("connection")
    async with asyncio.timeout(1):
        assert await line.get() == "connection"
