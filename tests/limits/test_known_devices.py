"""Unused messages to known devices: limits for strangers do not apply to three a day."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from guarding import COUNTRY, blocked, guarded, phone_of_new_range, pump, rows, save
from guessing import (
    BrokenInbox,
    device_of,
    enter,
    fail,
    guess,
    limited,
    proxied,
    save_global_limits,
    send,
)
from support import Service, new_address, new_phone, ok, refused, wrong_code

UNUSED = 3


async def leave_unused(service: Service, phone: str, device: str, times: int = UNUSED) -> None:
    for _ in range(times):
        ok(await send(service, phone, device_token=device))


async def test_three_unused_messages_are_exempt_from_address_limits(database_url: str) -> None:
    """Eight hours later one more is; the phone's own budget is charged by all of them."""
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="1") as service:
        phone, exhausted = new_phone(), new_address()
        device = await device_of(service, phone)
        ok(await send(service, new_phone(), exhausted))
        for _ in range(UNUSED):
            ok(await send(service, phone, exhausted, device_token=device))
        limited(await send(service, phone, exhausted, device_token=device))
        ok(await send(service, phone, device_token=device))
        service.clock.move(hours=8)
        ok(await send(service, new_phone(), exhausted))
        ok(await send(service, phone, exhausted, device_token=device))
        limited(await send(service, phone, exhausted, device_token=device))


async def test_used_messages_stay_exempt_from_address_limits(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="1") as service:
        phone, exhausted = new_phone(), new_address()
        device = await device_of(service, phone)
        ok(await send(service, new_phone(), exhausted))
        for _ in range(2):
            ok(await send(service, phone, exhausted, device_token=device))
        for _ in range(6):
            ok(await enter(service, ok(await send(service, phone, exhausted, device_token=device))))
        ok(await send(service, phone, exhausted, device_token=device))
        limited(await send(service, phone, exhausted, device_token=device))


async def test_three_of_many_parallel_messages_are_exempt(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="2") as service:
        phone, address = new_phone(), new_address()
        device = await device_of(service, phone)
        responses = await asyncio.gather(
            *(send(service, phone, address, device_token=device) for _ in range(30))
        )
        assert Counter(response.status_code for response in responses) == {200: UNUSED + 2, 429: 25}


async def test_only_messages_charged_to_an_address_are_refunded(database_url: str) -> None:
    """A verified exempt message, which was not charged there, refunds nothing."""
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="2") as service:
        phone, address = new_phone(), new_address()
        device = await device_of(service, phone)
        exempt = ok(await send(service, phone, address, device_token=device))
        await leave_unused(service, phone, device, 2)
        charged = ok(await send(service, phone, address, device_token=device))
        ok(await send(service, new_phone(), address))
        limited(await send(service, new_phone(), address))
        ok(await enter(service, exempt))
        limited(await send(service, new_phone(), address))
        ok(await enter(service, charged))
        ok(await send(service, new_phone(), address))
        limited(await send(service, new_phone(), address))


async def test_guesses_at_further_messages_are_charged_to_address(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_FAILURES_PER_ADDRESS_HOUR="2") as service:
        phone, address = new_phone(), new_address()
        device = await device_of(service, phone)
        await fail(service, new_phone(), 2, address)
        exempt = ok(await send(service, phone, device_token=device))
        await leave_unused(service, phone, device, 2)
        further = ok(await send(service, phone, device_token=device))
        limited(await enter(service, further, address))
        refused(
            await guess(service, exempt, wrong_code(exempt["code"]), address), 400, "wrong_code"
        )
        ok(await enter(service, exempt, address))
        ok(await enter(service, further))


async def test_further_messages_keep_the_devices_own_budgets(
    database_url: str,
) -> None:
    """Neither strangers' failures nor the alarm lengthen their codes."""
    variables = {"REFERRAL_FAILURES_PER_HOUR": "6", "REFERRAL_SENDS_PER_PHONE_DAY": "6"}
    async with proxied(database_url, **variables) as service:
        phone = new_phone()
        device = await device_of(service, phone)
        await fail(service, phone, 10)
        await save_global_limits(service)
        await leave_unused(service, phone, device)
        sent = ok(await send(service, phone, device_token=device))
        assert sent["code_length"] == 4
        ok(await enter(service, sent))


async def test_own_phones_do_not_drain_the_reserve(database_url: str) -> None:
    """An attacker's phones that signed in once get three messages each of the reserved fifth."""
    async with proxied(database_url, REFERRAL_SENDS_PER_DAY="100") as service:
        owner = new_phone()
        owners_device = await device_of(service, owner)
        phones = [new_phone() for _ in range(4)]
        devices = {phone: await device_of(service, phone) for phone in phones}
        while (await send(service, new_phone())).is_success:
            pass
        sent: Counter[str] = Counter()
        for phone, device in devices.items():
            for _ in range(10):
                response = await send(service, phone, device_token=device)
                sent[phone] += response.is_success
                if not response.is_success:
                    assert limited(response) > 60
        assert set(sent.values()) == {UNUSED}
        ok(await enter(service, ok(await send(service, owner, device_token=owners_device))))


async def test_own_phones_do_not_pass_a_closed_country(database_url: str) -> None:
    async with guarded(database_url) as service:
        phone = phone_of_new_range()
        first = ok(await _send(service, phone))
        device: str = ok(await service.verify(first))["device_token"]
        await pump(service, COUNTRY + 1)
        blocked(await _send(service, phone))
        await save(service)
        before = await rows()
        for _ in range(UNUSED):
            ok(await _send(service, phone, device_token=device))
        await save(service)
        assert await rows() == before
        wait = blocked(await _send(service, phone, device_token=device))
        service.clock.move(seconds=wait)
        ok(await _send(service, phone, device_token=device))
        await save(service)
        assert await rows() != before


async def test_message_that_was_not_accepted_is_not_unused(database_url: str) -> None:
    inbox = BrokenInbox(broken=False)
    async with proxied(database_url, inbox, REFERRAL_SENDS_PER_ADDRESS_HOUR="1") as service:
        phone, exhausted = new_phone(), new_address()
        device = await device_of(service, phone)
        ok(await send(service, new_phone(), exhausted))
        inbox.broken = True
        for _ in range(5):
            refused(
                await send(service, phone, exhausted, device_token=device), 503, "sms_unavailable"
            )
        inbox.broken = False
        for _ in range(UNUSED):
            ok(await send(service, phone, exhausted, device_token=device))
        limited(await send(service, phone, exhausted, device_token=device))


async def _send(service: Service, phone: str, **more: str) -> Any:
    return await service.http.post(
        "/api/v1/auth/send-code",
        json={"phone": phone, **more},
        headers={"X-Forwarded-For": new_address()},
    )
