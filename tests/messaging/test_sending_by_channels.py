"""Sending codes by several channels: the order, the wishes, the fallbacks and the charges."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from accounts import confirm, phone_code
from channels import Providers
from fake_gateways import code_in, telegram_error
from logs import events
from referral.core.channels import Channel
from referral.messaging import deliveries
from referral.storage import database
from support import Person, Service, context_of, new_phone, ok, refused, sending, sends_of_day

TELEGRAM_FIRST = {"REFERRAL_CHANNELS": "telegram,sms"}
NO_ACCOUNT = telegram_error("PHONE_NUMBER_NOT_FOUND", 400)
NO_BALANCE = telegram_error("BALANCE_NOT_ENOUGH", 400)


async def figures(service: Service) -> dict[str, tuple[int, int]]:
    """Return how many messages were sent and used, by channel."""
    await context_of(service).deliveries.save()
    found = await deliveries.recent(service.clock(), hours=24)
    return {each.channel: (each.sent, each.used) for each in found}


async def until(service: Service, wanted: dict[str, tuple[int, int]]) -> None:
    """Wait until these are the figures. Raises TimeoutError."""
    async with asyncio.timeout(15):
        while await figures(service) != wanted:  # noqa: ASYNC110 - it depends on other tasks
            await asyncio.sleep(0.02)


async def test_response_names_the_channels(database_url: str, fakes: Providers) -> None:
    async with sending(database_url, **fakes.variables, **TELEGRAM_FIRST) as service:
        sent = await service.send_code(new_phone())
        assert sent["channel"] == "telegram"
        assert sent["other_channels"] == ["sms", "whatsapp", "voice"]
        assert fakes.received == {"telegram": 1}
        code = fakes.telegram.jsons[0]["code"]
        assert (await service.verify({**sent, "code": code})).status_code == 201


async def test_sms_comes_first_unless_set(database_url: str, fakes: Providers) -> None:
    async with sending(database_url, **fakes.variables) as service:
        sent = await service.send_code(new_phone())
        assert (sent["channel"], sent["other_channels"]) == (
            "sms",
            ["telegram", "whatsapp", "voice"],
        )
        assert fakes.received == {"sms": 1}


async def test_each_country_has_its_order(database_url: str, fakes: Providers) -> None:
    orders = {"REFERRAL_CHANNELS": "telegram", "REFERRAL_CHANNELS_KZ": "whatsapp,sms"}
    async with sending(database_url, **fakes.variables, **orders) as service:
        sent = await service.send_code("+77011234567")
        assert (sent["channel"], sent["other_channels"][0]) == ("whatsapp", "sms")
        assert (await service.send_code(new_phone()))["channel"] == "telegram"


@pytest.mark.parametrize("channel", ["sms", "telegram", "whatsapp"])
async def test_a_wanted_channel_is_used(database_url: str, fakes: Providers, channel: str) -> None:
    async with sending(database_url, **fakes.variables) as service:
        sent = await service.send_code(new_phone(), channel=channel)
        assert sent["channel"] == channel
        assert channel not in sent["other_channels"]
        assert fakes.received == {channel: 1}


async def test_earlier_codes_stay_valid(database_url: str, fakes: Providers) -> None:
    async with sending(database_url, **fakes.variables) as service:
        phone = new_phone()
        sent = await service.send_code(phone)
        await service.send_code(phone, channel="telegram")
        code = code_in(fakes.sms.texts[0][1])
        assert (await service.verify({**sent, "code": code})).status_code == 201


@pytest.mark.parametrize("channel", ["telegram", "voice"])
async def test_a_channel_that_is_not_set_is_refused(
    database_url: str, fakes: Providers, channel: str
) -> None:
    only_sms = {"REFERRAL_SMS_URL": fakes.variables["REFERRAL_SMS_URL"]}
    async with sending(database_url, **only_sms) as service:
        response = await service.post("/auth/send-code", phone=new_phone(), channel=channel)
        (error,) = refused(response, 400, "invalid_request")["errors"]
        assert error["field"] == "channel"
        assert "Leave it out" in error["message"]
        assert fakes.received == {}
        sent = await service.send_code(new_phone())
        assert (sent["channel"], sent["other_channels"]) == ("sms", [])


@pytest.mark.parametrize("channel", ["fax", "", 5, ["sms"]])
async def test_an_unknown_channel_is_refused(
    database_url: str, fakes: Providers, channel: Any
) -> None:
    async with sending(database_url, **fakes.variables) as service:
        response = await service.post("/auth/send-code", phone=new_phone(), channel=channel)
        (error,) = refused(response, 400, "invalid_request")["errors"]
        assert error["field"] == "channel"


async def test_nobody_is_called_out_of_the_blue(database_url: str, fakes: Providers) -> None:
    """A phone is called only if it was sent another code within the last hour."""
    async with sending(database_url, **fakes.variables) as service:
        phone = new_phone()

        async def call() -> Any:
            return await service.post("/auth/send-code", phone=phone, channel="voice")

        refused(await call(), 400, "invalid_request")
        await service.send_code(phone)
        service.clock.move(minutes=59)
        sent = ok(await call())
        assert (sent["channel"], fakes.received) == ("voice", {"sms": 1, "voice": 1})
        # The call counts as a message too
        service.clock.move(minutes=61)
        refused(await call(), 400, "invalid_request")


async def test_an_address_cannot_test_many_phones_for_recent_codes(
    database_url: str, fakes: Providers
) -> None:
    """A refused call counts to it, and once it is exhausted, all calls are refused alike."""
    settings = {"REFERRAL_SENDS_PER_ADDRESS_HOUR": "3"}
    async with sending(database_url, **fakes.variables, **settings) as service:
        phone = new_phone()
        await service.send_code(phone)
        service.clock.move(seconds=4)
        for _ in range(2):
            response = await service.post("/auth/send-code", phone=new_phone(), channel="voice")
            refused(response, 400, "invalid_request")
        for each in (phone, new_phone()):
            response = await service.post("/auth/send-code", phone=each, channel="voice")
            refused(response, 429, "too_many_requests")
            assert response.headers["ratelimit"].startswith('"address-sends-hour"')
        assert fakes.received == {"sms": 1}


async def test_a_refunded_message_allows_no_call(database_url: str, fakes: Providers) -> None:
    """Nor does it take back that an earlier one does."""
    async with sending(database_url, **fakes.variables) as service:
        phone = new_phone()
        for fake in (fakes.sms, fakes.telegram, fakes.whatsapp):
            fake.next_responses = [(401, {})]
        refused(await service.post("/auth/send-code", phone=phone), 503, "sms_unavailable")
        call = {"phone": phone, "channel": "voice"}
        refused(await service.post("/auth/send-code", **call), 400, "invalid_request")
        await service.send_code(phone)
        service.clock.move(seconds=5)
        for fake in (fakes.sms, fakes.telegram, fakes.whatsapp):
            fake.next_responses = [(401, {})]
        refused(await service.post("/auth/send-code", phone=phone), 503, "sms_unavailable")
        ok(await service.post("/auth/send-code", **call))


async def test_a_message_to_a_known_device_allows_strangers_no_call(
    database_url: str, fakes: Providers
) -> None:
    """Otherwise a stranger could learn when the owner signs in, and have the phone ring."""
    async with sending(database_url, **fakes.variables) as service:
        phone = new_phone()
        sent = await service.send_code(phone)
        tokens = ok(await service.verify({**sent, "code": code_in(fakes.sms.texts[-1][1])}))
        owner = {"phone": phone, "device_token": tokens["device_token"]}
        service.clock.move(minutes=61)
        await service.send_code(**owner)
        call = {"phone": phone, "channel": "voice"}
        refused(await service.post("/auth/send-code", **call), 400, "invalid_request")
        ok(await service.post("/auth/send-code", **owner, channel="voice"))


async def test_a_notice_weighs_what_an_sms_costs(database_url: str, fakes: Providers) -> None:
    costs = {"REFERRAL_COSTS": "sms=3"}
    async with sending(database_url, **fakes.variables, **costs) as service:
        sent = await service.send_code(new_phone())
        tokens = ok(await service.verify({**sent, "code": code_in(fakes.sms.texts[-1][1])}))
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        path, phone = "/api/v1/profile/phone", new_phone()
        response = await service.http.post(
            f"{path}/send-code", json={"phone": phone, "channel": "telegram"}, headers=headers
        )
        change = {"token": ok(response)["token"], "code": fakes.telegram.jsons[-1]["code"]}
        ok(await service.http.put(path, json=change, headers=headers))
        await database.finish_tasks()
        assert (len(fakes.sms.requests), sends_of_day(service)) == (2, 3 + 1 + 3)


async def test_a_fault_moves_on_to_the_next_channel(database_url: str, fakes: Providers) -> None:
    """Within the request, and the phone is charged for one message."""
    once = {"REFERRAL_SENDS_PER_PHONE_HOUR": "2", "REFERRAL_SENDS_PER_PHONE_DAY": "2"}
    async with sending(database_url, **fakes.variables, **TELEGRAM_FIRST, **once) as service:
        fakes.telegram.default_response = NO_BALANCE
        phone = new_phone()
        sent = await service.send_code(phone)
        assert (sent["channel"], fakes.received) == ("telegram", {"telegram": 1, "sms": 1})
        code = code_in(fakes.sms.texts[0][1])
        assert (await service.verify({**sent, "code": code})).status_code == 201
        assert await figures(service) == {"sms": (1, 1)}
        await service.send_code(phone)
        refused(await service.post("/auth/send-code", phone=phone), 429, "too_many_requests")
        assert sends_of_day(service) == 2


async def test_the_next_channel_is_tried_also_after_the_longest_wait(
    database_url: str, fakes: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response comes before Telegram refuses us, and the code counts for SMS."""
    monkeypatch.setattr("referral.messaging.channels.DEADLINE_SECONDS", 1)
    fakes.telegram.default_response, fakes.telegram.delay = NO_BALANCE, 1.2
    costs = {"REFERRAL_COSTS": "sms=4"}
    async with sending(database_url, **fakes.variables, **TELEGRAM_FIRST, **costs) as service:
        before = sends_of_day(service)
        started = time.monotonic()
        sent = await service.send_code(new_phone())
        assert time.monotonic() - started < 1.2
        assert fakes.received == {"telegram": 1}
        async with asyncio.timeout(10):
            while not fakes.sms.texts:  # noqa: ASYNC110 - another thread
                await asyncio.sleep(0.02)
        code = code_in(fakes.sms.texts[0][1])
        assert (await service.verify({**sent, "code": code})).status_code == 201
        await until(service, {"sms": (1, 1)})
        assert sends_of_day(service) - before == 4


async def test_no_call_is_a_fallback(database_url: str, fakes: Providers) -> None:
    async with sending(database_url, **fakes.variables, **TELEGRAM_FIRST) as service:
        phone = new_phone()
        await service.send_code(phone)
        for fake in (fakes.sms, fakes.telegram, fakes.whatsapp):
            fake.default_response = (401, {})
        refused(await service.post("/auth/send-code", phone=phone), 503, "sms_unavailable")
        assert fakes.voice.requests == []


async def test_a_phone_without_an_account_gets_an_sms(database_url: str, fakes: Providers) -> None:
    """After the response, which is the same; and the SMS is counted as used."""
    fakes.telegram.default_response = NO_ACCOUNT
    fakes.sms.delay = 3
    async with sending(database_url, **fakes.variables, **TELEGRAM_FIRST) as service:
        started = time.monotonic()
        sent = await service.send_code(new_phone())
        assert time.monotonic() - started < 3
        assert sent["channel"] == "telegram"
        assert await figures(service) == {}
        await until(service, {"sms": (1, 0)})
        code = code_in(fakes.sms.texts[0][1])
        assert (await service.verify({**sent, "code": code})).status_code == 201
        await until(service, {"sms": (1, 1)})


async def test_texts_bind_the_code_to_an_android_app(database_url: str, fakes: Providers) -> None:
    hashes = {"REFERRAL_SMS_APP_HASHES": "FA+9qCX9VSu, abcdefghij+"}
    async with sending(database_url, **fakes.variables, **hashes) as service:
        phone = new_phone()
        sent = await service.send_code(phone, app="FA+9qCX9VSu")
        text = fakes.sms.texts[0][1]
        assert text.splitlines()[-1] == "FA+9qCX9VSu"
        # People may paste the whole message
        assert (await service.verify({**sent, "code": text})).status_code == 201
        response = await service.post("/auth/send-code", phone=phone, app="FA+9qCX9VSU")
        (error,) = refused(response, 400, "invalid_request")["errors"]
        assert error["field"] == "app"
        await service.send_code(phone)
        assert text.splitlines()[-1] != fakes.sms.texts[1][1].splitlines()[-1]


async def test_messages_weigh_what_they_cost(database_url: str, fakes: Providers) -> None:
    """In the day's sends overall and in the cost guard, but not in the phone's caps."""
    costs = {"REFERRAL_COSTS": "voice=7,telegram=2", "REFERRAL_SENDS_PER_DAY": "20"}
    phones = {"REFERRAL_SENDS_PER_PHONE_HOUR": "3"}
    async with sending(database_url, **fakes.variables, **costs, **phones) as service:
        phone = new_phone()
        for number, channel in enumerate(("sms", "telegram", "voice")):
            service.clock.move(seconds=1)
            await service.send_code(phone, channel=channel)
            assert sends_of_day(service) == (1, 3, 10)[number]
        refused(await service.post("/auth/send-code", phone=phone), 429, "too_many_requests")
        other = new_phone()
        await service.send_code(other)
        # 11 of the 16 for strangers are used: a call does not fit, an SMS does
        response = await service.post("/auth/send-code", phone=other, channel="voice")
        refused(response, 429, "too_many_requests")
        await service.send_code(other)


async def test_a_heavier_fallback_counts_its_own_weight(
    database_url: str, fakes: Providers
) -> None:
    fakes.telegram.default_response = NO_BALANCE
    costs = {"REFERRAL_COSTS": "sms=4"}
    async with sending(database_url, **fakes.variables, **TELEGRAM_FIRST, **costs) as service:
        await service.send_code(new_phone())
        assert sends_of_day(service) == 4


async def test_changing_phone_has_channels_too(database_url: str, fakes: Providers) -> None:
    async with sending(database_url, **fakes.variables) as service:
        sent = await service.send_code(new_phone())
        code = code_in(fakes.sms.texts[0][1])
        tokens = ok(await service.verify({**sent, "code": code}))
        response = await service.http.post(
            "/api/v1/profile/phone/send-code",
            json={"phone": new_phone(), "channel": "whatsapp"},
            headers={"Authorization": f"Bearer {tokens['access_token']}"},
        )
        assert ok(response)["channel"] == "whatsapp"
        assert fakes.received == {"sms": 1, "whatsapp": 1}


async def test_without_sms_messengers_carry_the_codes(database_url: str, fakes: Providers) -> None:
    variables = {**fakes.variables, "REFERRAL_SMS_URL": "none"}
    async with sending(database_url, **variables) as service:
        sent = await service.send_code(new_phone())
        assert sent["channel"] == Channel.TELEGRAM
        assert sent["other_channels"] == ["whatsapp", "voice"]
        code = fakes.telegram.jsons[0]["code"]
        assert (await service.verify({**sent, "code": code})).status_code == 201


async def test_without_sms_the_log_says_that_no_notice_is_sent(
    database_url: str, fakes: Providers, caplog: pytest.LogCaptureFixture
) -> None:
    """About a change of phone, which succeeds."""
    caplog.set_level(logging.INFO, "referral")
    variables = {**fakes.variables, "REFERRAL_SMS_URL": "none"}
    async with sending(database_url, **variables) as service:
        old, new = new_phone(), new_phone()
        sent = await service.send_code(old)
        code = fakes.telegram.jsons[-1]["code"]
        verified = ok(await service.verify({**sent, "code": code}))
        person = Person(service.http, old, verified, is_new=True)
        sent = await phone_code(person, new)
        assert events(caplog, "notice_not_sent") == []
        changed = await confirm(person, {**sent, "code": fakes.telegram.jsons[-1]["code"]})
        assert ok(changed)["phone"] == new
        [event] = events(caplog, "notice_not_sent")
        assert event["phone"] == f"+7********{old[-2:]}"
        assert event["reason"] == "no SMS gateway"
        assert [each["phone_number"] for each in fakes.telegram.jsons] == [old, new]
        assert fakes.received == {"telegram": 2}


async def test_a_failure_names_the_channels_that_were_not_tried(
    database_url: str, fakes: Providers
) -> None:
    """After a certain failure of one and an uncertain one of another."""
    order = {"REFERRAL_CHANNELS": "telegram,whatsapp,sms"}
    async with sending(database_url, **fakes.variables, **order) as service:
        fakes.telegram.default_response = NO_BALANCE
        fakes.whatsapp.default_response = (500, {})
        phone = new_phone()
        problem = refused(
            await service.post("/auth/send-code", phone=phone), 503, "sms_unavailable"
        )
        assert problem["other_channels"] == ["sms", "voice"]
        assert "`other_channels`" in problem["detail"]
        service.clock.move(minutes=2)
        sent = ok(await service.post("/auth/send-code", phone=phone, channel="sms"))
        assert (sent["channel"], fakes.received["sms"]) == ("sms", 1)
        fakes.whatsapp.default_response = (401, {})
        fakes.sms.default_response = (401, {})
        # A refunded message allows no call
        every = await service.post("/auth/send-code", phone=new_phone())
        assert "other_channels" not in refused(every, 503, "sms_unavailable")
