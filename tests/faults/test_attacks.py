"""Real attacks on a service of four worker processes, each on an empty database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from attacking import assert_nothing_broke, client, codes, wrong
from processes import Server, serving
from support import Clock, Inbox, Service, new_phone, ok, refused

AT_ONCE = 50


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    """Four processes that nobody has attacked yet."""
    with serving(tmp_path, DATABASE_URL=database_url, WEB_CONCURRENCY="4") as started:
        yield started


@pytest.fixture
async def many(server: Server) -> AsyncIterator[Service]:
    async with client(server) as http:
        yield Service(http, Clock(), Inbox())


async def test_a_thousand_parallel_wrong_guesses_at_a_challenge_are_compared_three_times(
    many: Service, server: Server
) -> None:
    sent = await many.send_code(new_phone())
    answers = await at_once(many, server, [wrong(sent)] * 1000)
    assert codes(answers) == {"wrong_code": 3, "too_many_attempts": 997}


async def test_parallel_guesses_at_thirty_challenges_of_a_phone_are_compared_ten_times(
    many: Service, server: Server
) -> None:
    """At 4 digits. The next code has 6, so that going on is a hundred times as hard."""
    phone = new_phone()
    sent = [await many.send_code(phone) for _ in range(30)]
    assert {each["code_length"] for each in sent} == {4}
    answers = await at_once(many, server, [wrong(each) for each in sent] * 4)
    counted = codes(answers)
    assert counted.keys() == {"wrong_code", "too_many_attempts"}
    assert 1 <= counted["wrong_code"] <= 10
    more = await at_once(many, server, [wrong(each) for each in sent])
    assert counted["wrong_code"] + codes(more)["wrong_code"] <= 10
    if counted["wrong_code"] == 10:
        assert (await many.send_code(phone))["code_length"] == 6


async def test_guesses_with_and_without_invite_codes_wait_for_each_other_in_one_order(
    database_url: str, tmp_path: Path
) -> None:
    """They take different statements: a deadlock would hold two connections for a second."""
    unlimited = {
        f"REFERRAL_FAILURES_PER_{each}": "100000"
        for each in ("PHONE_DAY", "PHONE_MONTH", "PHONE_DAY_MAX", "ADDRESS_HOUR", "HOUR")
    }
    with serving(tmp_path, DATABASE_URL=database_url, WEB_CONCURRENCY="4", **unlimited) as server:
        async with client(server) as http:
            service, phone = Service(http, Clock(), Inbox()), new_phone()
            for _ in range(30):
                sent = wrong(await service.send_code(phone))
                more: list[dict[str, str]] = [{}, {"invite_code": "000000"}] * 10
                answers = await asyncio.gather(*(service.verify(sent, **each) for each in more))
                assert_nothing_broke(answers, server)
                assert codes(answers) == {"wrong_code": 3, "too_many_attempts": 17}
    if not database_url.startswith("sqlite"):
        assert await deadlocks(database_url) == 0


async def deadlocks(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(await connection.fetchval(sql))
    finally:
        await connection.close()


async def test_parallel_right_answers_sign_in_once_and_leave_no_charge(
    many: Service, server: Server
) -> None:
    """A right answer is no failure, also where another was faster: the codes stay short."""
    phone = new_phone()
    for _ in range(8):
        sent = await many.send_code(phone)
        answers = await at_once(many, server, [sent] * 50)
        assert sum(answer.is_success for answer in answers) == 1
        refusals = {answer.json()["code"] for answer in answers if answer.is_error}
        assert refusals <= {"challenge_spent", "too_many_attempts"}
    sent = await many.send_code(phone)
    assert sent["code_length"] == 4
    ok(await many.verify(sent))


async def test_parallel_right_answers_sign_in_once_with_one_failure_left(
    many: Service, server: Server
) -> None:
    """A form sent twice neither makes its own code too short nor signs in twice."""
    phone = new_phone()
    for _ in range(3):
        sent = await many.send_code(phone)
        guesses = [await many.verify(wrong(sent)) for _ in range(3)]
        assert codes(guesses) == {"wrong_code": 3}
    successes: Counter[int] = Counter()
    for _ in range(30):
        sent = await many.send_code(phone)
        assert sent["code_length"] == 4
        answers = await at_once(many, server, [sent] * 12)
        successes[sum(answer.is_success for answer in answers)] += 1
    assert successes == {1: 30}


async def test_guesses_are_counted_right_by_a_machine_whose_clock_is_behind(
    service: Service,
) -> None:
    sent = await service.send_code(new_phone())
    for left in (2, 1, 0):
        body = refused(await service.verify(wrong(sent)), 400, "wrong_code")
        assert body["attempts_left"] == left
        service.clock.move(seconds=-1)
    refused(await service.verify(sent), 429, "too_many_attempts")


async def test_a_used_challenge_is_told_as_such_by_a_machine_whose_clock_is_behind(
    service: Service,
) -> None:
    sent = await service.send_code(new_phone())
    ok(await service.verify(sent))
    service.clock.move(seconds=-1)
    refused(await service.verify(sent), 400, "challenge_spent")


async def test_attacking_one_phone_leaves_its_known_device_and_other_phones_alone(
    many: Service, server: Server
) -> None:
    owner = await many.sign_in()
    for _ in range(5):
        sent = await many.send_code(owner.phone)
        await at_once(many, server, [wrong(sent)] * 20)
    assert (await many.send_code(owner.phone))["code_length"] > 4
    known = await many.send_code(owner.phone, device_token=owner.tokens["device_token"])
    assert known["code_length"] == 4
    assert ok(await many.verify(known))["profile"]["phone"] == owner.phone
    assert (await many.sign_in()).is_new


async def test_a_hundred_people_behind_one_address_sign_in_at_once(
    many: Service, server: Server
) -> None:
    """Of whom 60 may fail in an hour: those who sign in are no failures."""
    sent = await asyncio.gather(*(many.send_code(new_phone()) for _ in range(100)))
    answers = await at_once(many, server, sent, number=100)
    assert Counter(answer.status_code for answer in answers) == {201: 100}


async def test_parallel_send_codes_for_a_phone_send_one(database_url: str, tmp_path: Path) -> None:
    settings = {"REFERRAL_RESEND_WAITS": "30", "WEB_CONCURRENCY": "4"}
    with serving(tmp_path, DATABASE_URL=database_url, **settings) as server:
        async with client(server) as http:
            service, phone = Service(http, Clock(), Inbox()), new_phone()
            answers = await asyncio.gather(
                *(service.post("/auth/send-code", phone=phone) for _ in range(50))
            )
    assert_nothing_broke(answers, server)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 429: 49}
    waits = [answer for answer in answers if answer.is_error]
    assert codes(waits) == {"too_many_requests": 49}
    # One more where the call that was let through came a moment later
    assert {int(answer.headers["retry-after"]) for answer in waits} <= {29, 30, 31}


async def at_once(
    service: Service, server: Server, guesses: list[dict[str, Any]], *, number: int = AT_ONCE
) -> list[httpx.Response]:
    """Answers to all guesses, so many of them under way at a time."""
    answers: list[httpx.Response] = []
    for start in range(0, len(guesses), number):
        some = guesses[start : start + number]
        answers += await asyncio.gather(*(service.verify(each) for each in some))
    assert_nothing_broke(answers, server)
    return answers
