"""Channels that fail in every way: what is sent, what is answered, and what is counted.

A model of ten lines says what each combination must do. It knows only the facts of each fault:
whether the message may have been taken, and what the provider says.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest

from channels import Providers
from fake_channels import (
    ABOUT_PHONE,
    BAD_CREDENTIALS,
    FAKES,
    SMS,
    TELEGRAM,
    VOICE,
    WHATSAPP,
    sent_to_the_end,
)
from fake_gateways import FakeGateway, code_in
from guarding import COUNTRY, phone_of_new_range, rows, save, send
from referral import assembly
from referral.core.channels import Channel
from referral.messaging import deliveries
from referral.service import housekeeping
from referral.storage import configuration, database
from support import (
    Person,
    Service,
    context_of,
    eventually,
    new_phone,
    ok,
    refused,
    sending,
    sends_of_day,
    wrong_code,
)

COSTS = {SMS: 3, TELEGRAM: 2, WHATSAPP: 1, VOICE: 7}
CAP = 3
SETTINGS = {
    "REFERRAL_COST_GUARD": "warn",
    "REFERRAL_COSTS": ",".join(f"{channel}={cost}" for channel, cost in COSTS.items()),
    "REFERRAL_SENDS_PER_PHONE_HOUR": str(CAP),
    "REFERRAL_SENDS_PER_ADDRESS_HOUR": "10000",
    "REFERRAL_SENDS_PER_DAY": "100000",
}
RUBBISH = b"<html>It works!</html>"
SLOW_SECONDS = 0.15


@dataclass(frozen=True)
class Fault:
    """A way in which a gateway responds.

    may_be_taken: whether the message may have been taken. fails: whether it reports a failure.
    """

    name: str
    may_be_taken: bool
    fails: bool = False
    about_phone: bool = False

    @property
    def is_accepted(self) -> bool:
        return self.name in {"accepts", "slow"}

    def __str__(self) -> str:
        return self.name


ACCEPTS, SLOW = Fault("accepts", may_be_taken=True), Fault("slow", may_be_taken=True)
REFUSES_PHONE = Fault("refuses the phone", may_be_taken=False, fails=True, about_phone=True)
REFUSES_US = Fault("refuses us", may_be_taken=False, fails=True)
BREAKS = Fault("breaks", may_be_taken=True, fails=True)
HANGS, DROPS, LIES = (Fault(name, may_be_taken=True) for name in ("hangs", "drops", "lies"))

FAULTS = (ACCEPTS, REFUSES_PHONE, REFUSES_US, BREAKS, HANGS, DROPS, LIES, SLOW)
# A hook has no response body, so it cannot lie
FAULTS_OF_SMS = (ACCEPTS, REFUSES_PHONE, REFUSES_US, BREAKS, HANGS)


@dataclass(frozen=True)
class Step:
    """A gateway and how it responds."""

    channel: Channel
    fault: Fault


@dataclass
class Expected:
    """What a send must do. asked: how many messages each gateway gets, by its place."""

    asked: list[int]
    status: int = 200
    messages: int = 0
    units: int = 0
    sent: Counter[Channel] = field(default_factory=Counter)


def model(steps: list[Step]) -> Expected:
    """Say what a send must do.

    Another channel is tried only if nothing may have been taken; another gateway of the same
    channel also after one unknown outcome, unless one refused the phone. Only messages that may
    have been taken count, and a refusal of the phone counts as one, so that it cannot be told from
    a message.
    """
    expected, tried = Expected([0] * len(steps)), list[Step]()
    for place, step in enumerate(steps):
        taken = [each for each in tried if each.fault.may_be_taken]
        is_settled = any(each.fault.is_accepted for each in tried) or len(taken) == 2
        is_told = any(each.fault.about_phone for each in tried)
        if is_settled or (taken and (is_told or step.channel is not tried[-1].channel)):
            break
        expected.asked[place] = 1
        tried.append(step)
    taken = [each for each in tried if each.fault.may_be_taken]
    is_told = any(each.fault.about_phone for each in tried)
    if all(each.fault.fails for each in tried) and not is_told:
        expected.status = 503
    expected.messages = max(len(taken), int(is_told))
    expected.units = expected.messages * COSTS[tried[-1].channel]
    expected.sent = Counter(each.channel for each in taken)
    return expected


def impose(fault: Fault, channel: Channel, fake: FakeGateway) -> None:
    """Make a fake provider respond like this, from now on."""
    with FAKES[channel]() as fresh:
        fake.default_response = fresh.default_response
    fake.hanging = fault in {HANGS, DROPS}
    fake.delay = SLOW_SECONDS if fault is SLOW else 0
    (fake.ended.set if fault is DROPS else fake.ended.clear)()
    if fault is REFUSES_PHONE:
        fake.default_response = ABOUT_PHONE[channel]
    elif fault is REFUSES_US:
        fake.default_response = BAD_CREDENTIALS[channel]
    elif fault is BREAKS:
        fake.default_response = (500, RUBBISH)
    elif fault is LIES:
        fake.default_response = (200, RUBBISH)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "_GATEWAY_SECONDS", 0.8)
    # A save in between would hold back counts for a moment
    monkeypatch.setattr(housekeeping, "_EXCHANGE_SECONDS", 3600)


@dataclass
class Bench:
    """A service whose channels fail as each case says."""

    service: Service
    fakes: Providers

    async def run(self, *steps: Step) -> None:
        """Send a code to a new phone through these gateways, and compare with the model."""
        case = ", then ".join(f"{step.channel} {step.fault}" for step in steps)
        used = self._gateways(steps)
        phone = phone_of_new_range()
        wanted: dict[str, Any] = {}
        for channel, fake in self.fakes.of.items():
            impose(ACCEPTS, channel, fake)
        if steps[0].channel is VOICE:
            wanted = {"channel": VOICE}
            await self.service.send_code(phone)
            await sent_to_the_end()
        earlier = 1 if wanted else 0
        for step, fake in zip(steps, used, strict=True):
            impose(step.fault, step.channel, fake)
        before, expected = await self.counts(), model([*steps])
        asked = [len(fake.requests) for fake in used]
        response = await self.service.post("/auth/send-code", phone=phone, **wanted)
        await sent_to_the_end()
        after = await self.counts()
        found = [len(fake.requests) - number for fake, number in zip(used, asked, strict=True)]
        assert found == expected.asked, case
        assert response.status_code == expected.status, (case, response.text)
        if expected.status == 503:
            refused(response, 503, "sms_unavailable")
            assert int(response.headers["retry-after"]) >= 5
        units = expected.units
        assert after.day - before.day == units, case
        assert after.guard - before.guard == units, case
        assert after.sent - before.sent == expected.sent, case
        for step, fake in zip(steps, used, strict=True):
            impose(ACCEPTS, step.channel, fake)
        assert await self.left(phone) == CAP - earlier - expected.messages, case

    def _gateways(self, steps: tuple[Step, ...]) -> list[FakeGateway]:
        found: list[FakeGateway] = []
        for step in steps:
            fake = self.fakes.of[step.channel]
            found.append(self.fakes.second_sms if fake in found else fake)
        return found

    async def left(self, phone: str) -> int:
        """Return how many messages the phone may still get in this hour."""
        for number in range(CAP + 1):
            response = await self.service.post("/auth/send-code", phone=phone)
            if response.status_code == 429:
                return number
            ok(response)
        return CAP + 1

    async def counts(self) -> Counts:
        ctx, clock = context_of(self.service), self.service.clock
        await save(self.service)
        await ctx.deliveries.save()
        guard = {key: sends for key, (sends, _) in (await rows()).items()}
        figures = await deliveries.recent(clock(), hours=24)
        return Counts(
            day=sends_of_day(self.service),
            guard=sum(sends for key, sends in guard.items() if key.startswith("RU:")),
            sent=Counter({each.channel: each.sent for each in figures}),
        )


@dataclass
class Counts:
    """Units of the day and of the cost guard, and messages in the figures."""

    day: int
    guard: int
    sent: Counter[Channel]


def cases(first: Channel) -> list[list[Step]]:
    """Return the combinations of a channel and SMS behind it."""
    found = []
    for fault in FAULTS:
        others = [ACCEPTS] if fault.may_be_taken else FAULTS_OF_SMS
        found += [[Step(first, fault), Step(SMS, other)] for other in others]
    return found


@asynccontextmanager
async def benched(database_url: str, fakes: Providers, **variables: str) -> AsyncIterator[Bench]:
    """Run the service at a fixed time, so that nothing is forgiven and counts are exact."""
    async with sending(database_url, **SETTINGS | variables) as service:
        service.clock.freeze(service.clock())
        yield Bench(service, fakes)


@pytest.mark.parametrize("first", [TELEGRAM, WHATSAPP, VOICE])
async def test_each_fault_of_a_channel_with_sms_behind_it(
    database_url: str, fakes: Providers, first: Channel
) -> None:
    variables = fakes.settings(first, SMS)
    async with benched(database_url, fakes, **variables) as bench:
        for steps in cases(first):
            await bench.run(*steps)


async def test_each_fault_of_two_sms_gateways_behind_a_channel(
    database_url: str, fakes: Providers
) -> None:
    """A second gateway takes over after an unknown outcome, with a message that counts too."""
    variables = fakes.settings(TELEGRAM, SMS, gateways=2)
    combinations = product(
        (REFUSES_PHONE, REFUSES_US), (REFUSES_US, BREAKS, DROPS), (ACCEPTS, REFUSES_US)
    )
    async with benched(database_url, fakes, **variables) as bench:
        for first, second, third in combinations:
            await bench.run(Step(TELEGRAM, first), Step(SMS, second), Step(SMS, third))


async def test_each_fault_of_three_channels(database_url: str, fakes: Providers) -> None:
    variables = fakes.settings(TELEGRAM, WHATSAPP, SMS)
    combinations = product(
        (REFUSES_PHONE, REFUSES_US), (REFUSES_PHONE, REFUSES_US, HANGS), (ACCEPTS, REFUSES_US)
    )
    async with benched(database_url, fakes, **variables) as bench:
        for first, second, third in combinations:
            await bench.run(Step(TELEGRAM, first), Step(WHATSAPP, second), Step(SMS, third))


@pytest.mark.parametrize("channel", [TELEGRAM, WHATSAPP])
async def test_each_fault_of_a_channel_without_sms(
    database_url: str, fakes: Providers, channel: Channel
) -> None:
    async with benched(database_url, fakes, **fakes.settings(channel)) as bench:
        for fault in FAULTS:
            await bench.run(Step(channel, fault))


# A provider that hangs


@pytest.mark.parametrize("behind", [True, False], ids=["after the answer", "before it"])
async def test_a_hanging_provider_holds_no_connection(
    database_url: str, fakes: Providers, monkeypatch: pytest.MonkeyPatch, *, behind: bool
) -> None:
    """Neither one that people wait for, nor one that is tried after the answer."""
    monkeypatch.setattr(assembly, "_GATEWAY_SECONDS", 3)
    number = configuration.POOL_SIZE + 5
    async with benched(database_url, fakes, **fakes.settings(TELEGRAM, SMS)) as bench:
        person = await _sign_in(bench)
        if behind:
            impose(REFUSES_PHONE, TELEGRAM, fakes.of[TELEGRAM])
        hanging = fakes.of[SMS if behind else TELEGRAM]
        impose(HANGS, SMS if behind else TELEGRAM, hanging)
        before = len(hanging.requests)
        waiting = [asyncio.create_task(bench.service.send_code(new_phone())) for _ in range(number)]
        await eventually(lambda: len(hanging.requests) == before + number)
        assert database.pool_connections().get("in use", 0) == 0
        async with asyncio.timeout(2):
            assert (await person.profile())["phone"] == person.phone
            ok(await person.call("PATCH", "/profile", json={"name": "Anna"}))
        assert all(each.done() is behind for each in waiting)
        hanging.ended.set()
        await asyncio.gather(*waiting)
        await sent_to_the_end()


async def _sign_in(bench: Bench) -> Person:
    sent = await bench.service.send_code(phone := new_phone())
    code = bench.fakes.of[TELEGRAM].jsons[-1]["code"]
    verified = ok(await bench.service.verify({**sent, "code": code}))
    return Person(bench.service.http, phone, verified, is_new=True)


# Whether a phone has Telegram


@pytest.fixture
def telegram_or_sms(fakes: Providers) -> dict[str, str]:
    return fakes.settings(TELEGRAM, SMS, VOICE) | {"REFERRAL_RESEND_WAITS": "30,60,120"}


@pytest.mark.parametrize("is_known", [True, False], ids=["known account", "unknown account"])
async def test_response_does_not_tell_whether_a_phone_has_telegram(
    database_url: str, fakes: Providers, telegram_or_sms: dict[str, str], *, is_known: bool
) -> None:
    """Nor do the limits, nor what happens when the code is entered."""
    async with benched(database_url, fakes, **telegram_or_sms) as bench:
        found = [
            await _behaviour(bench, fault, is_known=is_known) for fault in (ACCEPTS, REFUSES_PHONE)
        ]
        assert found[0] == found[1]


async def _behaviour(bench: Bench, fault: Fault, *, is_known: bool) -> list[Any]:
    """Return all that a client sees that asks for codes again and again, until it may not."""
    service, telegram = bench.service, bench.fakes.of[TELEGRAM]
    impose(ACCEPTS, TELEGRAM, telegram)
    phone, seen = phone_of_new_range(), list[Any]()
    if is_known:
        sent = await service.send_code(phone)
        ok(await service.verify({**sent, "code": telegram.jsons[-1]["code"]}))
        service.clock.move(days=1)
    impose(fault, TELEGRAM, telegram)
    for _ in range(CAP + 1):
        asked, texts = len(telegram.requests), len(bench.fakes.of[SMS].requests)
        response = await service.post("/auth/send-code", phone=phone)
        await sent_to_the_end()
        body = response.json()
        told = {name: len(value) if name == "token" else value for name, value in body.items()}
        for name in ("phone", "request_id"):
            told.pop(name, None)
        limits = {name: each for name, each in response.headers.items() if "limit" in name}
        seen.append((response.status_code, told, limits, response.headers.get("retry-after")))
        if response.status_code == 200:
            assert len(telegram.requests) == asked + 1
            assert len(bench.fakes.of[SMS].requests) == texts + (fault is REFUSES_PHONE)
            last = body
        service.clock.move(seconds=int(response.headers.get("retry-after", body.get("resend_in"))))
    wrong = wrong_code(telegram.jsons[-1]["code"])
    for code in (wrong, telegram.jsons[-1]["code"]):
        response = await service.verify({**last, "code": code})
        seen.append((response.status_code, sorted(response.json())))
    return seen


async def test_answer_does_not_wait_for_a_slow_sms_gateway(
    database_url: str, fakes: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SMS still arrives, its code works, and it counts for SMS."""
    monkeypatch.setattr(assembly, "_GATEWAY_SECONDS", 5)
    async with benched(database_url, fakes, **fakes.settings(TELEGRAM, SMS)) as bench:
        impose(REFUSES_PHONE, TELEGRAM, fakes.of[TELEGRAM])
        fakes.of[SMS].delay = 2
        started = time.monotonic()
        sent = await bench.service.send_code(phone_of_new_range())
        assert time.monotonic() - started < 1
        assert sent["channel"] == TELEGRAM
        await sent_to_the_end()
        assert 2 <= time.monotonic() - started < 4
        [(_, text)] = fakes.of[SMS].texts
        ok(await bench.service.verify({**sent, "code": code_in(text)}))
        await sent_to_the_end()
        assert await _used(bench) == {TELEGRAM: 0, SMS: 1}


async def _used(bench: Bench) -> dict[Channel, int]:
    await context_of(bench.service).deliveries.save()
    figures = await deliveries.recent(bench.service.clock(), hours=24)
    return {
        channel: sum(each.used for each in figures if each.channel is channel)
        for channel in (TELEGRAM, SMS)
    }


async def test_codes_count_for_the_channel_they_went_by(
    database_url: str, fakes: Providers
) -> None:
    """Also if a channel refused us, and the code went by the next one before the answer."""
    async with benched(database_url, fakes, **fakes.settings(TELEGRAM, SMS)) as bench:
        for number, fault in enumerate((REFUSES_US, ACCEPTS, REFUSES_PHONE)):
            impose(fault, TELEGRAM, fakes.of[TELEGRAM])
            sent = await bench.service.send_code(phone_of_new_range())
            await sent_to_the_end()
            code = fakes.of[TELEGRAM].jsons[-1]["code"]
            ok(await bench.service.verify({**sent, "code": code}))
            await sent_to_the_end()
            by_sms = (1, 1, 2)[number]
            assert await _used(bench) == {TELEGRAM: number + 1 - by_sms, SMS: by_sms}


async def test_refusal_takes_as_long_as_accepted_messages(
    database_url: str, fakes: Providers
) -> None:
    """Each of them, from the first accepted message on."""
    async with benched(database_url, fakes, **fakes.settings(TELEGRAM, SMS)) as bench:
        impose(SLOW, TELEGRAM, fakes.of[TELEGRAM])
        for _ in range(3):
            await bench.service.send_code(phone_of_new_range())
        impose(REFUSES_PHONE, TELEGRAM, fakes.of[TELEGRAM])
        times = await asyncio.gather(*(_seconds_to_send(bench.service) for _ in range(20)))
        assert min(times) >= SLOW_SECONDS
        assert max(times) < SLOW_SECONDS + 2


async def _seconds_to_send(service: Service) -> float:
    started = time.monotonic()
    await service.send_code(phone_of_new_range())
    return time.monotonic() - started


async def test_client_that_leaves_before_the_answer_gets_its_sms(
    database_url: str,
    fakes: Providers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Telegram has refused the phone, and the answer is held back as long as usual."""
    monkeypatch.setattr(assembly, "_GATEWAY_SECONDS", 5)
    async with benched(database_url, fakes, **fakes.settings(TELEGRAM, SMS)) as bench:
        fakes.of[TELEGRAM].delay = 1
        await bench.service.send_code(phone_of_new_range())
        impose(REFUSES_PHONE, TELEGRAM, fakes.of[TELEGRAM])
        request = asyncio.create_task(bench.service.send_code(phone := phone_of_new_range()))
        await eventually(lambda: len(fakes.of[SMS].requests) == 1)
        await sent_to_the_end()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await asyncio.sleep(1.2)
        assert [to for to, _ in fakes.of[SMS].texts] == [phone]
        assert [each for each in caplog.records if each.name == "asyncio"] == []
        impose(ACCEPTS, TELEGRAM, fakes.of[TELEGRAM])
        assert await bench.left(phone) == CAP - 1


# A fallback that costs more


async def test_burst_that_falls_back_to_dear_sms_stays_in_the_allowance(
    database_url: str, fakes: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its messages are admitted, at the weight of Telegram, before the first falls back."""
    monkeypatch.setattr(assembly, "_GATEWAY_SECONDS", 5)
    variables = fakes.settings(TELEGRAM, SMS) | {
        "REFERRAL_COST_GUARD": "block",
        "REFERRAL_COSTS": "telegram=1,sms=10",
        "REFERRAL_TRUSTED_PROXIES": "1",
    }
    async with benched(database_url, fakes, **variables) as bench:
        impose(REFUSES_PHONE, TELEGRAM, fakes.of[TELEGRAM])
        fakes.of[TELEGRAM].delay = 0.3
        responses = await asyncio.gather(*(send(bench.service) for _ in range(40)))
        await sent_to_the_end()
        assert {response.status_code for response in responses} == {200}
        guarded = (await bench.counts()).guard
        assert 40 < guarded <= COUNTRY
        assert len(fakes.of[SMS].requests) == 1


@pytest.mark.parametrize("weight", [10, 40])
async def test_dear_sms_is_sent_after_a_refusal_of_the_phone(
    database_url: str, fakes: Providers, weight: int
) -> None:
    """Also one that weighs more than the allowance of an address or a range."""
    variables = fakes.settings(TELEGRAM, SMS) | {
        "REFERRAL_COST_GUARD": "block",
        "REFERRAL_COSTS": f"telegram=1,sms={weight}",
        "REFERRAL_TRUSTED_PROXIES": "1",
    }
    async with benched(database_url, fakes, **variables) as bench:
        impose(REFUSES_PHONE, TELEGRAM, fakes.of[TELEGRAM])
        ok(await send(bench.service))
        await sent_to_the_end()
        assert len(fakes.of[SMS].requests) == 1
        assert (await bench.counts()).guard == weight
