"""Refunds of sends to the phone, the address, the cost guard and the sends overall.

A gateway that does not respond, or only reports a failure, may have sent the message. So a send is
refunded only if it is certain that the message was not taken.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from fake_gateways import HOOK_SECRET, FakeGateway, code_in, hook_server
from guessing import WAITS, enter, fail, guess, limited, proxied, save_global_limits, send
from referral.context import Caller
from referral.core import challenge as challenges
from referral.core.keys import Purpose
from referral.limits import guesses
from referral.limits.keyed_locks import KeyedLocks
from referral.limits.sign_in_statement import Guess, Judged
from referral.messaging.gateways import Failure, GatewayError, Message
from support import (
    Inbox,
    context_of,
    eventually,
    new_address,
    new_phone,
    ok,
    refused,
    running,
    sending,
    sends_of_day,
    wrong_code,
)

REAL_LIMITS = {
    "REFERRAL_RESEND_WAITS": WAITS,
    "REFERRAL_SENDS_PER_PHONE_HOUR": "5",
    "REFERRAL_SENDS_PER_PHONE_DAY": "10",
    "REFERRAL_SENDS_PER_ADDRESS_HOUR": "30",
}


@dataclass
class Troubled(Inbox):
    """A gateway that records each message, waits for `goes_on` and then fails with `failure`."""

    failure: Failure | None = None
    goes_on: asyncio.Event | None = None

    async def send(self, message: Message) -> None:
        await super().send(message)
        failure = self.failure
        if self.goes_on is not None:
            await self.goes_on.wait()
        if failure is not None:
            raise GatewayError("troubled", failure)


@pytest.fixture
def first() -> Iterator[FakeGateway]:
    with hook_server() as server:
        yield server


@pytest.fixture
def second() -> Iterator[FakeGateway]:
    with hook_server() as server:
        yield server


def url_of(*servers: FakeGateway) -> str:
    return ",".join(f"hook+{server.url}?secret={HOOK_SECRET}" for server in servers)


# A gateway that may have taken the message


async def test_message_with_response_500_is_not_refunded(
    database_url: str, first: FakeGateway
) -> None:
    """64 requests for one phone send one message."""
    first.default_response = (500, None)
    async with sending(database_url, REFERRAL_SMS_URL=url_of(first), **REAL_LIMITS) as service:
        phone = new_phone()
        responses = [await service.post("/auth/send-code", phone=phone) for _ in range(64)]
        wait = int(responses[0].headers["retry-after"])
        refused(responses[0], 503, "sms_unavailable")
        for response in responses[1:]:
            limited(response)
        assert len(first.requests) == 1
        assert sends_of_day(service) == 1
        service.clock.move(seconds=wait)
        refused(await service.post("/auth/send-code", phone=phone), 503, "sms_unavailable")


async def test_an_hour_of_failures_stays_within_the_phones_caps(
    database_url: str, first: FakeGateway, second: FakeGateway
) -> None:
    """Each request sends one message by each of two gateways, up to five in all."""
    first.default_response = second.default_response = (503, None)
    variables = REAL_LIMITS | {"REFERRAL_SMS_URL": url_of(first, second)}
    async with sending(database_url, **variables) as service:
        phone, asked = new_phone(), 0
        while (response := await service.post("/auth/send-code", phone=phone)).status_code == 503:
            asked += 1
            service.clock.move(seconds=120)
        limited(response)
        assert asked == 3
        assert (len(first.requests), len(second.requests)) == (3, 2)
        assert sends_of_day(service) == 5


async def test_message_that_may_arrive_has_a_valid_challenge(
    database_url: str, first: FakeGateway
) -> None:
    """The connection breaks after the gateway got the message."""
    first.hanging = True
    first.ended.set()
    async with sending(database_url, REFERRAL_SMS_URL=url_of(first), **REAL_LIMITS) as service:
        phone = new_phone()
        sent = await service.send_code(phone)
        assert sent["resend_in"] == 30
        limited(await service.post("/auth/send-code", phone=phone))
        code = code_in(first.texts[-1][1])
        assert (await service.verify({**sent, "code": code})).status_code == 201


async def test_after_an_unknown_outcome_next_gateway_has_same_code(
    database_url: str, first: FakeGateway, second: FakeGateway
) -> None:
    first.default_response = (500, None)
    variables = REAL_LIMITS | {"REFERRAL_SMS_URL": url_of(first, second)}
    async with sending(database_url, **variables) as service:
        phone = new_phone()
        sent = await service.send_code(phone)
        assert first.texts == second.texts
        assert sends_of_day(service) == 2
        code = code_in(second.texts[-1][1])
        assert (await service.verify({**sent, "code": code})).status_code == 201


async def test_second_message_stays_within_the_phones_caps(
    database_url: str, first: FakeGateway, second: FakeGateway
) -> None:
    first.default_response = (500, None)
    variables = {"REFERRAL_SMS_URL": url_of(first, second), "REFERRAL_SENDS_PER_PHONE_DAY": "3"}
    async with sending(database_url, **variables) as service:
        phone = new_phone()
        await service.send_code(phone)
        response = await service.post("/auth/send-code", phone=phone)
        refused(response, 503, "sms_unavailable")
        assert (len(first.requests), len(second.requests)) == (2, 1)
        wait = int(response.headers["retry-after"])
        assert 3600 < wait <= 8 * 3600
        limited(await service.post("/auth/send-code", phone=phone))
        service.clock.move(seconds=wait)
        refused(await service.post("/auth/send-code", phone=phone), 503, "sms_unavailable")


# A gateway that certainly took nothing


@pytest.mark.parametrize("status", [401, 403, 404, 429])
async def test_send_certainly_not_accepted_is_refunded(
    database_url: str, first: FakeGateway, status: int
) -> None:
    """To phone, wait, address, sends overall and cost guard, any number of times."""
    first.default_response = (status, None)
    variables = {
        "REFERRAL_SMS_URL": url_of(first),
        "REFERRAL_RESEND_WAITS": WAITS,
        "REFERRAL_SENDS_PER_PHONE_HOUR": "1",
        "REFERRAL_SENDS_PER_PHONE_DAY": "1",
        "REFERRAL_SENDS_PER_ADDRESS_HOUR": "1",
        "REFERRAL_SENDS_PER_DAY": "2",
    }
    async with sending(database_url, **variables) as service:
        phone = new_phone()
        for _ in range(30):
            response = await service.post("/auth/send-code", phone=phone)
            refused(response, 503, "sms_unavailable")
            assert response.headers["retry-after"] == "5"
        assert sends_of_day(service) == 0
        first.default_response = (204, None)
        assert (await service.send_code(phone))["code_length"] == 6


@pytest.mark.parametrize("status", [400, 422])
async def test_gateways_error_about_a_phone_changes_nothing(
    database_url: str, first: FakeGateway, status: int
) -> None:
    async with sending(database_url, REFERRAL_SMS_URL=url_of(first), **REAL_LIMITS) as service:
        taken, not_taken = new_phone(), new_phone()
        usual = await service.send_code(taken)
        first.default_response = (status, None)
        sent = await service.send_code(not_taken)
        assert sent.keys() == usual.keys()
        assert sent["resend_in"] == usual["resend_in"]
        waits = [
            limited(await service.post("/auth/send-code", phone=phone))
            for phone in (taken, not_taken)
        ]
        assert abs(waits[0] - waits[1]) <= 1
        assert sends_of_day(service) == 2


async def test_second_message_is_refunded_if_not_accepted(
    database_url: str, first: FakeGateway, second: FakeGateway
) -> None:
    """The first one is not."""
    first.default_response, second.default_response = (500, None), (401, None)
    variables = {"REFERRAL_SMS_URL": url_of(first, second), "REFERRAL_SENDS_PER_PHONE_DAY": "4"}
    async with sending(database_url, **variables) as service:
        phone = new_phone()
        for number in range(1, 5):
            response = await service.post("/auth/send-code", phone=phone)
            refused(response, 503, "sms_unavailable")
            assert sends_of_day(service) == number
        limited(await service.post("/auth/send-code", phone=phone))


async def test_refund_clears_only_its_own_wait(database_url: str) -> None:
    """Another message was sent while the gateway took its time."""
    inbox = Troubled(failure=Failure.NOT_TAKEN, goes_on=asyncio.Event())
    async with proxied(database_url, inbox, REFERRAL_RESEND_WAITS="3,3") as service:
        phone = new_phone()
        slow = asyncio.create_task(send(service, phone))
        await eventually(lambda: len(inbox.messages) == 1)
        service.clock.move(seconds=3)
        inbox.failure, goes_on = None, inbox.goes_on
        inbox.goes_on = None
        ok(await send(service, phone))
        assert goes_on is not None
        goes_on.set()
        refused(await slow, 503, "sms_unavailable")
        assert limited(await send(service, phone)) <= 3


@pytest.mark.parametrize("failure", [None, *Failure])
async def test_cancelled_send_is_charged_once(database_url: str, failure: Failure | None) -> None:
    """A client that disconnects while the gateway works gets no free message."""
    inbox = Troubled(failure=failure, goes_on=asyncio.Event())
    variables = {"REFERRAL_SENDS_PER_PHONE_DAY": "3", "REFERRAL_SENDS_PER_DAY": "100"}
    async with proxied(database_url, inbox, **variables) as service:
        phone = new_phone()
        for number in range(1, 4):
            request = asyncio.create_task(send(service, phone))
            await eventually(lambda: len(inbox.messages) == number)  # noqa: B023 - awaited here
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            assert sends_of_day(service) == number
        limited(await send(service, phone))
        assert len(inbox.messages) == 3


async def test_messages_in_flight_count_in_the_sends_overall(database_url: str) -> None:
    inbox = Troubled(goes_on=asyncio.Event())
    async with proxied(database_url, inbox, REFERRAL_SENDS_PER_DAY="10") as service:
        waiting = [asyncio.create_task(send(service, new_phone())) for _ in range(40)]
        await eventually(lambda: sum(each.done() for each in waiting) == 32)
        assert inbox.goes_on is not None
        inbox.goes_on.set()
        statuses = Counter(response.status_code for response in await asyncio.gather(*waiting))
        assert statuses == {200: 8, 429: 32}


# A code that has become too short


async def test_too_short_codes_stay_within_the_phones_caps(database_url: str) -> None:
    """Without waits and with long lives, every code becomes too short and allows a resend."""
    variables = {
        "REFERRAL_CODE_TTL": "600",
        "REFERRAL_SENDS_PER_PHONE_HOUR": "5",
        "REFERRAL_SENDS_PER_PHONE_DAY": "10",
        "REFERRAL_SENDS_PER_ADDRESS_HOUR": "1000",
        "REFERRAL_FAILURES_PER_PHONE_DAY": "3",
    }
    async with proxied(database_url, **variables) as service:
        phone, in_flight = new_phone(), []
        for _ in range(20):
            response = await send(service, phone)
            if response.is_success:
                in_flight.append(ok(response))
            for sent in in_flight:
                await guess(service, sent, wrong_code(sent["code"]))
        assert len(service.inbox.messages) == 5


async def test_too_short_code_clears_the_wait_and_refunds_its_send(
    database_url: str,
) -> None:
    """Once a challenge, to the address that asked for it and overall, not to the phone's caps."""
    variables = {
        "REFERRAL_RESEND_WAITS": WAITS,
        "REFERRAL_FAILURES_PER_PHONE_DAY": "3",
        "REFERRAL_SENDS_PER_PHONE_DAY": "4",
        "REFERRAL_SENDS_PER_ADDRESS_HOUR": "2",
    }
    async with proxied(database_url, **variables) as service:
        phone, asking, entering = new_phone(), new_address(), new_address()
        short = ok(await send(service, phone, asking))
        service.clock.move(seconds=30)
        await fail(service, phone, 3)
        ok(await send(service, new_phone(), asking))
        limited(await send(service, new_phone(), asking))
        for _ in range(2):
            ok(await send(service, new_phone(), entering))
        assert sends_of_day(service) == 5
        limited(await send(service, phone))
        assert limited(await enter(service, short, entering), "too_many_attempts") > 60
        limited(await send(service, new_phone(), entering))
        assert sends_of_day(service) == 4
        for _ in range(3):
            limited(await enter(service, short), "too_many_attempts")
        assert sends_of_day(service) == 4
        ok(await send(service, new_phone(), asking))
        limited(await send(service, new_phone(), asking))
        for _ in range(2):
            ok(await send(service, phone))
            service.clock.move(seconds=120)
        assert limited(await send(service, phone)) > 3600


async def test_too_short_code_and_right_guess_refund_one_send(
    database_url: str,
) -> None:
    """The right guess was allowed before another one found the code too short."""
    variables = {
        "REFERRAL_FAILURES_PER_PHONE_DAY": "3",
        "REFERRAL_SENDS_PER_ADDRESS_HOUR": "3",
    }
    async with proxied(database_url, **variables) as service:
        ctx, phone, address = context_of(service), new_phone(), new_address()
        await fail(service, phone, 2)
        sent = ok(await send(service, phone, address))
        for _ in range(2):
            ok(await send(service, new_phone(), address))
        challenge = challenges.decrypt(
            sent["token"], purpose=Purpose.SIGN_IN, now=service.clock(), keys=ctx.keys
        )
        started, goes_on, done = asyncio.Event(), asyncio.Event(), []

        async def later(_: Guess) -> tuple[Judged, None]:
            started.set()
            await goes_on.wait()
            return Judged(True, 0), None

        async def work() -> str:
            done.append(1)
            return "signed in"

        caller = Caller(address=new_address(), user_agent=None)
        another_process = replace(ctx, keyed_locks=KeyedLocks(ctx.limiter))
        right = asyncio.create_task(
            guesses.redeem(
                another_process, challenge, sent["code"], work, caller=caller, fast_path=later
            )
        )
        await started.wait()
        await fail(service, phone, 1)
        limited(await enter(service, sent), "too_many_attempts")
        goes_on.set()
        assert await right == "signed in"
        assert done == [1]
        ok(await send(service, new_phone(), address))
        limited(await send(service, new_phone(), address))


async def test_alarm_does_not_refuse_codes_in_flight(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_FAILURES_PER_HOUR="6") as service:
        sent = [ok(await send(service, new_phone())) for _ in range(3)]
        for _ in range(4):
            await fail(service, new_phone(), 3)
        await save_global_limits(service)
        assert ok(await send(service, new_phone()))["code_length"] == 6
        for each in sent:
            assert each["code_length"] == 4
            refused(await guess(service, each, wrong_code(each["code"])), 400, "wrong_code")
            ok(await enter(service, each))


# Messages that no limit refuses


async def test_message_to_the_old_phone_is_sent_and_charged(
    database_url: str,
) -> None:
    variables = {"REFERRAL_SENDS_PER_PHONE_DAY": "2", "REFERRAL_SENDS_PER_DAY": "100"}
    async with running(database_url, inbox=Inbox(), **variables) as service:
        for exhausted in (False, True):
            person, new = await service.sign_in(), new_phone()
            if exhausted:
                await service.send_code(person.phone)
                limited(await service.post("/auth/send-code", phone=person.phone))
            sent = ok(await person.call("POST", "/profile/phone/send-code", json={"phone": new}))
            before = sends_of_day(service)
            body = {"token": sent["token"], "code": sent["code"]}
            ok(await person.call("PUT", "/profile/phone", json=body))
            await eventually(lambda: service.inbox.messages[-1].code is None)
            assert service.inbox.messages[-1].phone == person.phone
            assert sends_of_day(service) == before + 1
            limited(await service.post("/auth/send-code", phone=person.phone))
