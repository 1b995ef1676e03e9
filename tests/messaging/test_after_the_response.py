"""What goes on after the response to a send: when it comes, and what the log says."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from channels import Providers
from fake_gateways import FakeGateway, telegram_error, whatsapp_error
from logs import events
from referral.limits.code_charges import CodeCharges
from referral.messaging import channels
from referral.storage import database
from support import Service, new_phone, sending

TELEGRAM_FIRST = {"REFERRAL_CHANNELS": "telegram,sms"}
NO_ACCOUNT = telegram_error("PHONE_NUMBER_NOT_FOUND", 400)
USUAL_SECONDS = 0.5


async def seconds_to_send(service: Service) -> float:
    started = time.monotonic()
    await service.send_code(new_phone())
    return time.monotonic() - started


@pytest.mark.parametrize("channel", ["telegram", "whatsapp"])
async def test_first_responses_take_the_usual_time(
    database_url: str, fakes: Providers, channel: str
) -> None:
    """Whether the first phone of a process has an account, nobody can tell."""
    fake: FakeGateway = getattr(fakes, channel)
    accepts, refuses = fake.default_response, NO_ACCOUNT
    if channel == "whatsapp":
        refuses = whatsapp_error(131026, 400)
    for response in (accepts, refuses):
        fake.default_response = response
        order = {"REFERRAL_CHANNELS": f"{channel},sms"}
        async with sending(database_url, **fakes.variables, **order) as service:
            assert await seconds_to_send(service) >= USUAL_SECONDS


async def test_one_slow_refusal_slows_others_only_for_a_while(
    database_url: str, fakes: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepts = fakes.telegram.default_response
    fakes.telegram.default_response, fakes.telegram.delay = NO_ACCOUNT, 2.5
    async with sending(database_url, **fakes.variables, **TELEGRAM_FIRST) as service:
        await service.send_code(new_phone())
        fakes.telegram.default_response, fakes.telegram.delay = accepts, 0
        assert await seconds_to_send(service) >= 2.5
        monkeypatch.setattr(channels, "monotonic", lambda: time.monotonic() + 600)
        assert await seconds_to_send(service) < 2.5


async def test_no_response_is_held_back_for_long(
    database_url: str, fakes: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "_MAX_PAUSE_SECONDS", 0.8)
    accepts = fakes.telegram.default_response
    fakes.telegram.default_response, fakes.telegram.delay = NO_ACCOUNT, 4
    async with sending(database_url, **fakes.variables, **TELEGRAM_FIRST) as service:
        await service.send_code(new_phone())
        fakes.telegram.default_response, fakes.telegram.delay = accepts, 0
        assert 0.8 <= await seconds_to_send(service) < 4


async def test_a_refused_fallback_is_logged(
    database_url: str, fakes: Providers, caplog: pytest.LogCaptureFixture
) -> None:
    """The person gets no code then, and the team has to learn why."""
    caplog.set_level(logging.INFO, "referral")
    fakes.telegram.default_response = NO_ACCOUNT
    costs = {"REFERRAL_COSTS": "sms=10", "REFERRAL_COST_GUARD": "block"}
    async with sending(database_url, **fakes.variables, **TELEGRAM_FIRST, **costs) as service:
        for phone in ("+97431234567", "+97431234568"):
            assert (await service.send_code(phone))["channel"] == "telegram"
            await database.finish_tasks()
        assert len(fakes.sms.requests) == 1
        assert len(events(caplog, "message_blocked")) == 1


async def test_a_failure_after_the_response_is_logged(
    database_url: str,
    fakes: Providers,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object) -> None:
        raise LookupError("+79991234567")

    monkeypatch.setattr(CodeCharges, "record_channel", fail)
    fakes.telegram.default_response = NO_ACCOUNT
    async with sending(database_url, **fakes.variables, **TELEGRAM_FIRST) as service:
        await service.send_code(new_phone())
        await database.finish_tasks()
        await asyncio.sleep(0)
        assert len(events(caplog, "task_failed")) == 1
        assert "9991234567" not in caplog.text
