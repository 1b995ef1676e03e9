"""Attacks on a service of four worker processes, each with an empty database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from parallel_requests import assert_nothing_broke, client, codes
from processes import Server, serving
from support import Clock, Inbox, Service, new_phone, ok, refused, with_wrong_code

PARALLEL = 50


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    """Start four processes."""
    with serving(tmp_path, DATABASE_URL=database_url, WEB_CONCURRENCY="4") as started:
        yield started


@pytest.fixture
async def all_processes(server: Server) -> AsyncIterator[Service]:
    async with client(server) as http:
        yield Service(http, Clock(), Inbox())


async def test_three_of_1000_parallel_guesses_are_compared(
    all_processes: Service, server: Server
) -> None:
    """At one challenge."""
    sent = await all_processes.send_code(new_phone())
    responses = await guess_in_parallel(all_processes, server, [with_wrong_code(sent)] * 1000)
    assert codes(responses) == {"wrong_code": 3, "too_many_attempts": 997}


async def test_ten_guesses_at_thirty_challenges_are_compared(
    all_processes: Service, server: Server
) -> None:
    """At codes of 4 digits of one phone. Its next code has 6: a hundred times as hard to guess."""
    phone = new_phone()
    sent = [await all_processes.send_code(phone) for _ in range(30)]
    assert {each["code_length"] for each in sent} == {4}
    responses = await guess_in_parallel(
        all_processes, server, [with_wrong_code(each) for each in sent] * 4
    )
    counted = codes(responses)
    assert counted.keys() == {"wrong_code", "too_many_attempts"}
    assert 1 <= counted["wrong_code"] <= 10
    more = await guess_in_parallel(all_processes, server, [with_wrong_code(each) for each in sent])
    assert counted["wrong_code"] + codes(more)["wrong_code"] <= 10
    if counted["wrong_code"] == 10:
        assert (await all_processes.send_code(phone))["code_length"] == 6


@pytest.mark.usefixtures("no_deadlocks")
async def test_guesses_with_and_without_invite_codes_do_not_deadlock(
    database_url: str, tmp_path: Path
) -> None:
    """They send different statements. A deadlock would hold two connections for a second."""
    unlimited = {
        f"REFERRAL_FAILURES_PER_{each}": "100000"
        for each in ("PHONE_DAY", "PHONE_MONTH", "PHONE_DAY_MAX", "ADDRESS_HOUR", "HOUR")
    }
    with serving(tmp_path, DATABASE_URL=database_url, WEB_CONCURRENCY="4", **unlimited) as server:
        async with client(server) as http:
            service, phone = Service(http, Clock(), Inbox()), new_phone()
            for _ in range(30):
                sent = with_wrong_code(await service.send_code(phone))
                more: list[dict[str, str]] = [{}, {"invite_code": "000000"}] * 10
                responses = await asyncio.gather(*(service.verify(sent, **each) for each in more))
                assert_nothing_broke(responses, server)
                assert codes(responses) == {"wrong_code": 3, "too_many_attempts": 17}


async def test_parallel_right_guesses_sign_in_once_uncharged(
    all_processes: Service, server: Server
) -> None:
    """A right guess is no failure, also if another was faster: the codes stay short."""
    phone = new_phone()
    for _ in range(8):
        sent = await all_processes.send_code(phone)
        responses = await guess_in_parallel(all_processes, server, [sent] * 50)
        assert sum(response.is_success for response in responses) == 1
        refusals = {response.json()["code"] for response in responses if response.is_error}
        assert refusals <= {"challenge_spent", "too_many_attempts"}
    sent = await all_processes.send_code(phone)
    assert sent["code_length"] == 4
    ok(await all_processes.verify(sent))


async def test_parallel_right_guesses_with_one_failure_left(
    all_processes: Service, server: Server
) -> None:
    """They sign in once, and do not make their own code too short."""
    phone = new_phone()
    for _ in range(3):
        sent = await all_processes.send_code(phone)
        guesses = [await all_processes.verify(with_wrong_code(sent)) for _ in range(3)]
        assert codes(guesses) == {"wrong_code": 3}
    successes: Counter[int] = Counter()
    for _ in range(30):
        sent = await all_processes.send_code(phone)
        assert sent["code_length"] == 4
        responses = await guess_in_parallel(all_processes, server, [sent] * 12)
        successes[sum(response.is_success for response in responses)] += 1
    assert successes == {1: 30}


async def test_guesses_are_counted_by_a_clock_that_is_behind(
    service: Service,
) -> None:
    sent = await service.send_code(new_phone())
    for left in (2, 1, 0):
        body = refused(await service.verify(with_wrong_code(sent)), 400, "wrong_code")
        assert body["attempts_left"] == left
        service.clock.move(seconds=-1)
    refused(await service.verify(sent), 429, "too_many_attempts")


async def test_spent_challenge_is_known_to_a_clock_that_is_behind(
    service: Service,
) -> None:
    sent = await service.send_code(new_phone())
    ok(await service.verify(sent))
    service.clock.move(seconds=-1)
    refused(await service.verify(sent), 400, "challenge_spent")


async def test_attack_on_a_phone_spares_its_device_and_other_phones(
    all_processes: Service, server: Server
) -> None:
    owner = await all_processes.sign_in()
    for _ in range(5):
        sent = await all_processes.send_code(owner.phone)
        await guess_in_parallel(all_processes, server, [with_wrong_code(sent)] * 20)
    assert (await all_processes.send_code(owner.phone))["code_length"] > 4
    known = await all_processes.send_code(owner.phone, device_token=owner.tokens["device_token"])
    assert known["code_length"] == 4
    assert ok(await all_processes.verify(known))["profile"]["phone"] == owner.phone
    assert (await all_processes.sign_in()).is_new


async def test_100_people_behind_one_address_sign_in(
    all_processes: Service, server: Server
) -> None:
    """The address may have 60 failures in an hour; right guesses are none."""
    sent = await asyncio.gather(*(all_processes.send_code(new_phone()) for _ in range(100)))
    responses = await guess_in_parallel(all_processes, server, sent, number=100)
    assert Counter(response.status_code for response in responses) == {201: 100}


async def test_parallel_sends_to_a_phone_send_one_message(
    database_url: str, tmp_path: Path
) -> None:
    settings = {"REFERRAL_RESEND_WAITS": "30", "WEB_CONCURRENCY": "4"}
    with serving(tmp_path, DATABASE_URL=database_url, **settings) as server:
        async with client(server) as http:
            service, phone = Service(http, Clock(), Inbox()), new_phone()
            responses = await asyncio.gather(
                *(service.post("/auth/send-code", phone=phone) for _ in range(50))
            )
    assert_nothing_broke(responses, server)
    assert Counter(response.status_code for response in responses) == {200: 1, 429: 49}
    waits = [response for response in responses if response.is_error]
    assert codes(waits) == {"too_many_requests": 49}
    # One more if the request that was let through came a moment later
    assert {int(response.headers["retry-after"]) for response in waits} <= {29, 30, 31}


async def guess_in_parallel(
    service: Service, server: Server, guesses: list[dict[str, Any]], *, number: int = PARALLEL
) -> list[httpx.Response]:
    """Send guesses, `number` at a time; return all responses."""
    responses: list[httpx.Response] = []
    for start in range(0, len(guesses), number):
        some = guesses[start : start + number]
        responses += await asyncio.gather(*(service.verify(each) for each in some))
    assert_nothing_broke(responses, server)
    return responses
