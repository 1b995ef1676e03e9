"""Delivery reports of the providers: what they count, what they refund, and what they may not."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from channels import Providers
from delivery_reports import (
    PUBLIC_URL,
    Reporter,
    call_status,
    encode_form,
    request_status,
    sign_as_meta,
    sign_as_telegram,
    whatsapp_event,
)
from fake_gateways import WHATSAPP_MESSAGE_ID, telegram_error
from guarding import phone_of_new_range, rows, save
from referral.core.keys import Keyring, Purpose
from referral.messaging import deliveries
from referral.messaging.gateways import whatsapp_reports
from support import (
    SECRET,
    Service,
    context_of,
    new_phone,
    ok,
    refused,
    sending,
    sends_of_day,
    wrong_code,
)

WEIGHTS = {"telegram": 2, "whatsapp": 3}
SETTINGS = {
    "REFERRAL_PUBLIC_URL": PUBLIC_URL,
    "REFERRAL_COST_GUARD": "warn",
    "REFERRAL_COSTS": "telegram=2,whatsapp=3",
    "REFERRAL_RESEND_WAITS": "0",
    "REFERRAL_SENDS_PER_PHONE_HOUR": "3",
    "REFERRAL_SENDS_PER_ADDRESS_HOUR": "10000",
}
UNBILLED: dict[str, dict[str, Any]] = {
    "telegram": {"is_refunded": True, "delivery_status": {"status": "expired"}},
    "whatsapp": {"status": "failed"},
}
# The field of a message, and of reports about it, that holds the receipt
RECEIPTS = {"telegram": "payload", "whatsapp": "biz_opaque_callback_data"}
OTHER_SECRET = "another secret of the tests with 32 bytes or more 9876543210"


@pytest.fixture(params=UNBILLED)
def channel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def guarded(service: Service) -> dict[str, int]:
    """Return what the cost guard has counted, by segment."""
    await save(service)
    return {key: sends for key, (sends, _) in (await rows()).items() if sends}


async def figures(service: Service) -> dict[tuple[str, str], tuple[int, int]]:
    """Return how many messages were sent and delivered, by country and channel."""
    await context_of(service).deliveries.save()
    found = await deliveries.recent(service.clock(), hours=24)
    return {(each.country, each.channel): (each.sent, each.delivered) for each in found}


async def report(service: Service, fakes: Providers, channel: str, **more: Any) -> httpx.Response:
    """Report the last message of a channel as not billed."""
    reporter: Any = getattr(Reporter(service, fakes), channel)
    response: httpx.Response = await reporter(**UNBILLED[channel] | more)
    return response


# Refunds


async def test_an_unbilled_message_is_refunded_once(
    database_url: str, fakes: Providers, channel: str
) -> None:
    """To the cost guard and the day's sends, by its weight, and never to the phone's caps."""
    async with sending(database_url, **fakes.variables, **SETTINGS) as service:
        phone = phone_of_new_range()
        await service.send_code(phone, channel="sms")
        before = await guarded(service)
        await service.send_code(phone, channel=channel)
        assert sends_of_day(service) == 1 + WEIGHTS[channel]
        assert await guarded(service) == {key: n + WEIGHTS[channel] for key, n in before.items()}
        # The provider may name the phone in another way, and repeats its reports
        name = "recipient_id" if channel == "whatsapp" else "phone_number"
        for responses in range(1, 4):
            given = [report(service, fakes, channel, **{name: "525512345678"})]
            given += [report(service, fakes, channel) for _ in range(responses)]
            assert {each.status_code for each in await asyncio.gather(*given)} == {200}
            assert sends_of_day(service) == 1
            assert await guarded(service) == before
        await service.send_code(phone, channel="sms")
        refused(await service.post("/auth/send-code", phone=phone), 429, "too_many_requests")
    # Nor by another process, later
    async with sending(database_url, **fakes.variables, **SETTINGS) as service:
        await context_of(service).global_limits.save(service.clock())
        counted = sends_of_day(service), await guarded(service)
        assert counted[0] == 2
        assert (await report(service, fakes, channel)).status_code == 200
        assert (sends_of_day(service), await guarded(service)) == counted


@pytest.mark.parametrize("change", ["altered", "missing"])
async def test_an_altered_or_missing_receipt_refunds_nothing(
    database_url: str, fakes: Providers, channel: str, change: str
) -> None:
    async with sending(database_url, **fakes.variables, **SETTINGS) as service:
        before = sends_of_day(service)
        await service.send_code(phone_of_new_range(), channel=channel)
        mark, receipt = receipt_in(fakes, channel)
        given = f"{receipt[:-6]}AAAAAA" if change == "altered" else ""
        await refunds_nothing(service, fakes, channel, mark + given)
        await refunds_the_only_message(service, fakes, channel, before)


async def test_a_receipt_of_another_deployment_refunds_nothing(
    database_url: str, fakes: Providers, channel: str
) -> None:
    """It has another secret."""
    variables = SETTINGS | {"REFERRAL_SECRET": OTHER_SECRET}
    async with sending(database_url, **fakes.variables, **variables) as service:
        await service.send_code(phone_of_new_range(), channel=channel)
    foreign = "".join(receipt_in(fakes, channel))
    async with sending(database_url, **fakes.variables, **SETTINGS) as service:
        before = sends_of_day(service)
        await service.send_code(phone_of_new_range(), channel=channel)
        await refunds_nothing(service, fakes, channel, foreign)
        await refunds_the_only_message(service, fakes, channel, before)


async def test_a_receipt_refunds_nothing_after_a_day(
    database_url: str, fakes: Providers, channel: str
) -> None:
    async with sending(database_url, **fakes.variables, **SETTINGS) as service:
        await service.send_code(phone_of_new_range(), channel=channel)
        service.clock.move(hours=24)
        await refunds_nothing(service, fakes, channel, "".join(receipt_in(fakes, channel)))


def receipt_in(fakes: Providers, channel: str) -> tuple[str, str]:
    """Return the mark before the receipt of a channel's last message, and the receipt."""
    found: str = getattr(fakes, channel).jsons[-1][RECEIPTS[channel]]
    mark = "referral:" if channel == "whatsapp" else ""
    assert found.startswith(mark)
    return mark, found.removeprefix(mark)


async def refunds_nothing(service: Service, fakes: Providers, channel: str, receipt: str) -> None:
    """Check that a report with this receipt is received, and changes no count."""
    counted = sends_of_day(service), await guarded(service)
    response = await report(service, fakes, channel, **{RECEIPTS[channel]: receipt})
    assert response.status_code == 200
    assert (sends_of_day(service), await guarded(service)) == counted


async def refunds_the_only_message(
    service: Service, fakes: Providers, channel: str, before: int
) -> None:
    """Check that the message still counts, and that a report with its own receipt refunds it."""
    assert sends_of_day(service) == before + WEIGHTS[channel]
    assert (await report(service, fakes, channel)).status_code == 200
    assert sends_of_day(service) == before


@pytest.mark.parametrize("first", ["report", "guess"])
async def test_a_message_is_refunded_once_also_if_its_code_became_too_short(
    database_url: str, fakes: Providers, channel: str, first: str
) -> None:
    variables = SETTINGS | {"REFERRAL_FAILURES_PER_PHONE_DAY": "3"}
    async with sending(database_url, **fakes.variables, **variables) as service:
        phone, before = new_phone(), sends_of_day(service)
        await service.send_code(phone, channel="sms")
        other = await service.send_code(phone, channel=channel)
        sent = await service.send_code(phone, channel=channel)
        code = wrong_code(
            fakes.telegram.jsons[-1]["code"]
            if channel == "telegram"
            else fakes.whatsapp.jsons[-1]["template"]["components"][0]["parameters"][0]["text"]
        )
        for _ in range(3):
            refused(await service.verify({**other, "code": code}), 400, "wrong_code")
        if first == "report":
            await report(service, fakes, channel)
        refused(await service.verify({**sent, "code": code}), 429, "too_many_attempts")
        await report(service, fakes, channel)
        assert sends_of_day(service) - before == 1 + WEIGHTS[channel]


async def test_a_fallbacks_receipt_names_its_own_weight(
    database_url: str, fakes: Providers
) -> None:
    fakes.telegram.default_response = telegram_error("PHONE_NUMBER_NOT_FOUND", 400)
    order = {"REFERRAL_CHANNELS": "telegram,whatsapp"}
    async with sending(database_url, **fakes.variables, **SETTINGS, **order) as service:
        before = sends_of_day(service)
        await service.send_code(phone_of_new_range())
        async with asyncio.timeout(10):
            while not fakes.whatsapp.requests:  # noqa: ASYNC110 - another thread
                await asyncio.sleep(0.02)
        assert sends_of_day(service) - before == WEIGHTS["whatsapp"]
        await report(service, fakes, "whatsapp")
        assert sends_of_day(service) == before


async def test_a_paused_message_counts_until_it_is_reported_as_failed(
    database_url: str, fakes: Providers
) -> None:
    """Whether WhatsApp still sends it is not known, so no other channel is tried."""
    paused = {"messages": [{"id": WHATSAPP_MESSAGE_ID, "message_status": "paused"}]}
    fakes.whatsapp.default_response = (200, paused)
    async with sending(database_url, **fakes.variables, **SETTINGS) as service:
        before = sends_of_day(service)
        response = await service.post(
            "/auth/send-code", phone=phone_of_new_range(), channel="whatsapp"
        )
        refused(response, 503, "sms_unavailable")
        assert (fakes.received, sends_of_day(service) - before) == ({"whatsapp": 1}, 3)
        await report(service, fakes, "whatsapp")
        assert sends_of_day(service) == before


async def test_a_known_devices_message_is_refunded_to_the_day_only(
    database_url: str, fakes: Providers, channel: str
) -> None:
    """The cost guard has not counted it."""
    async with sending(database_url, **fakes.variables, **SETTINGS) as service:
        phone = phone_of_new_range()
        sent = await service.send_code(phone, channel="telegram")
        code = fakes.telegram.jsons[-1]["code"]
        device = ok(await service.verify({**sent, "code": code}))["device_token"]
        counted = sends_of_day(service), await guarded(service)
        await service.send_code(phone, channel=channel, device_token=device)
        assert sends_of_day(service) == counted[0] + WEIGHTS[channel]
        await report(service, fakes, channel)
        assert (sends_of_day(service), await guarded(service)) == counted


# Figures


async def test_delivered_messages_count_once(database_url: str, fakes: Providers) -> None:
    """By the country of the phone, and also if nothing is refunded."""
    async with sending(database_url, **fakes.variables, **SETTINGS) as service:
        reporter = Reporter(service, fakes)
        phone = phone_of_new_range()
        for wanted in ("telegram", "whatsapp", "voice"):
            await service.send_code(phone, channel=wanted)
        for status in ("delivered", "read"):
            ok(await reporter.telegram(delivery_status={"status": status}))
            ok(await reporter.whatsapp(status=status))
        ok(await reporter.twilio(To=phone, CallStatus="completed"))
        ok(await reporter.twilio(To=phone, CallStatus="completed"))
        ok(await reporter.twilio(To=phone, CallStatus="busy", CallSid="CA" + 32 * "1"))
        assert await figures(service) == {
            ("RU", name): (1, 1) for name in ("telegram", "whatsapp", "voice")
        }


async def test_a_batch_with_odd_statuses_counts_the_others(
    database_url: str, fakes: Providers
) -> None:
    async with sending(database_url, **fakes.variables, **SETTINGS) as service:
        reporter = Reporter(service, fakes)
        for _ in range(2):
            await service.send_code(phone_of_new_range(), channel="whatsapp")
        of_another_app = reporter.status(id="other", biz_opaque_callback_data="order 17")
        nameless = reporter.status(id="nameless", recipient_id="somebody")
        ok(await reporter.statuses(of_another_app, reporter.status(-2), nameless))
        ok(await reporter.whatsapp(status="failed"))
        assert await figures(service) == {("RU", "whatsapp"): (2, 1)}
        assert sends_of_day(service) == WEIGHTS["whatsapp"]


# Requests that are no reports


async def test_only_signed_reports_are_received(database_url: str, fakes: Providers) -> None:
    async with sending(database_url, **fakes.variables, **SETTINGS) as service:
        post, now = Reporter(service, fakes).post, service.clock()
        body, event = request_status(), whatsapp_event()
        form = encode_form(call_status())
        for provider, content in (("telegram", body), ("whatsapp", event), ("twilio", form)):
            refused(await post(provider, content), 403, "forbidden")
        headers = sign_as_telegram(body, at=now)
        ok(await post("telegram", body, headers))
        refused(await post("telegram", body + b" ", headers), 403, "forbidden")
        service.clock.move(seconds=301)
        refused(await post("telegram", body, headers), 403, "forbidden")
        signed = sign_as_meta(b"{")
        refused(await post("whatsapp", b"{", signed), 400, "invalid_request")


async def test_providers_that_are_not_set_up_have_no_hook(
    database_url: str, fakes: Providers
) -> None:
    variables = {"REFERRAL_SMS_URL": fakes.variables["REFERRAL_SMS_URL"]}
    async with sending(database_url, **variables) as service:
        for provider in ("telegram", "whatsapp", "twilio", "sms", "other"):
            response = await Reporter(service, fakes).post(provider, b"{}")
            refused(response, 404, "not_found")
            refused(await service.get(f"/hooks/delivery/{provider}"), 404, "not_found")


async def test_handshake_with_meta(database_url: str, fakes: Providers) -> None:
    """With the verify token of any secret, so that a change of secret breaks nothing."""
    variables = SETTINGS | {"REFERRAL_SECRET": f"{SECRET},{OTHER_SECRET}"}
    async with sending(database_url, **fakes.variables, **variables) as service:

        async def confirm(token: str) -> httpx.Response:
            query = {"hub.mode": "subscribe", "hub.challenge": "1158201444"}
            return await service.http.get(
                "/hooks/delivery/whatsapp", params=query | {"hub.verify_token": token}
            )

        for secret in (SECRET, OTHER_SECRET):
            key = Keyring((secret.encode(),)).current(Purpose.HANDSHAKE)
            token = whatsapp_reports.verify_token(key.secret)
            response = await confirm(token)
            assert (response.status_code, response.text) == (200, "1158201444")
        refused(await confirm("wrong"), 403, "forbidden")
