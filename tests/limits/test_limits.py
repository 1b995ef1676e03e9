"""Limits: what is refused, for how long, and whom it must not touch.

People have addresses of their own: one trusted proxy stands in front, and tells them.
"""

from __future__ import annotations

import asyncio

import httpx
import pytest

from guessing import (
    UNKNOWN,
    WAITS,
    BrokenInbox,
    device_of,
    enter,
    fail,
    guess,
    limited,
    new_address,
    proxied,
    save_totals,
    send,
    wrong,
)
from referral.service import housekeeping
from referral.storage import database
from support import Service, context_of, new_phone, ok, refused


async def length_of(service: Service, phone: str, **more: str) -> int:
    """How many digits a new code for the phone has."""
    length: int = ok(await send(service, phone, **more))["code_length"]
    return length


# Sends


@pytest.mark.parametrize("sends_in_hour", ["5", "1000"])
async def test_waits_between_sends_grow(database_url: str, sends_in_hour: str) -> None:
    """Early it is refused, with what is left of the wait; on time it works, whatever the cap."""
    variables = {
        "REFERRAL_RESEND_WAITS": WAITS,
        "REFERRAL_SENDS_PER_PHONE_HOUR": sends_in_hour,
    }
    async with proxied(database_url, **variables) as service:
        phone = new_phone()
        for wait in (30, 60, 120, 120):
            assert ok(await send(service, phone))["resend_in"] == wait
            assert wait - 2 <= limited(await send(service, phone)) <= wait
            service.clock.move(seconds=wait - 5)
            left = limited(await send(service, phone))
            assert left <= 5
            service.clock.move(seconds=left)


async def test_resend_in_is_when_the_next_send_works(database_url: str) -> None:
    """Also where the sends of the hour are used up."""
    variables = {"REFERRAL_RESEND_WAITS": WAITS, "REFERRAL_SENDS_PER_PHONE_HOUR": "5"}
    async with proxied(database_url, **variables) as service:
        phone = new_phone()
        for _ in range(8):
            sent = ok(await send(service, phone))
            service.clock.move(seconds=sent["resend_in"])


@pytest.mark.parametrize("waits", ["30,0", "0,30,0", "0,0,30"])
async def test_waits_of_nothing_among_others(database_url: str, waits: str) -> None:
    """One that is not over holds, whatever the next one would be."""
    async with proxied(database_url, REFERRAL_RESEND_WAITS=waits) as service:
        phone = new_phone()
        for wait in map(int, waits.split(",")):
            assert ok(await send(service, phone))["resend_in"] == wait
            if wait:
                assert limited(await send(service, phone)) <= wait
                service.clock.move(seconds=wait)


async def test_the_caps_may_be_very_large(database_url: str) -> None:
    large = "1000000000"
    names = ("PHONE_HOUR", "PHONE_DAY", "ADDRESS_HOUR", "DAY")
    variables = {f"REFERRAL_SENDS_PER_{name}": large for name in names}
    async with proxied(database_url, **variables) as service:
        phone, address = new_phone(), new_address()
        answers = await asyncio.gather(*(send(service, phone, address) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        await save_totals(service)
        ok(await enter(service, ok(await send(service, phone, address)), address))


async def test_retry_after_is_when_no_limit_refuses_any_more(database_url: str) -> None:
    """The phone's wait is short, its hour and the day are not."""
    variables = {
        "REFERRAL_RESEND_WAITS": "30",
        "REFERRAL_SENDS_PER_PHONE_HOUR": "1",
        "REFERRAL_SENDS_PER_DAY": "5",
    }
    async with proxied(database_url, **variables) as service:
        phone = new_phone()
        sent = ok(await send(service, phone))
        for _ in range(3):
            ok(await send(service, new_phone()))
        wait = limited(await send(service, phone))
        assert wait > 3600
        for _ in range(3):
            refused(await guess(service, sent, wrong(sent)), 400, "wrong_code")
        assert abs(limited(await enter(service, sent), "too_many_attempts") - wait) <= 1
        await save_totals(service)
        service.clock.move(seconds=wait)
        await save_totals(service)
        ok(await send(service, phone))


async def test_a_wait_is_never_longer_than_a_code_lives(database_url: str) -> None:
    variables = {"REFERRAL_RESEND_WAITS": "300", "REFERRAL_CODE_TTL": "40"}
    async with proxied(database_url, **variables) as service:
        assert ok(await send(service, new_phone()))["resend_in"] == 40


async def test_parallel_sends_pass_the_wait_once(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_RESEND_WAITS=WAITS) as service:
        phone = new_phone()
        responses = await asyncio.gather(*(send(service, phone) for _ in range(20)))
        assert sum(response.is_success for response in responses) == 1
        assert len(service.inbox.messages) == 1


@pytest.mark.parametrize(
    ("setting", "size", "seconds"),
    [("REFERRAL_SENDS_PER_PHONE_HOUR", 5, 3600), ("REFERRAL_SENDS_PER_PHONE_DAY", 10, 86_400)],
)
async def test_sends_to_a_phone(database_url: str, setting: str, size: int, seconds: int) -> None:
    """From wherever they are asked for; another phone does not feel it."""
    async with proxied(database_url, **{setting: str(size)}) as service:
        phone = new_phone()
        for _ in range(size):
            ok(await send(service, phone))
        response = await send(service, phone)
        wait = limited(response)
        assert f"q={size};w={seconds}" in response.headers["ratelimit-policy"]
        ok(await send(service, new_phone()))
        service.clock.move(seconds=wait - 5)
        limited(await send(service, phone))
        service.clock.move(seconds=5)
        ok(await send(service, phone))


async def test_sends_for_an_address(database_url: str) -> None:
    """A refused send writes nothing: the phone has no wait from it."""
    variables = {"REFERRAL_SENDS_PER_ADDRESS_HOUR": "5", "REFERRAL_RESEND_WAITS": WAITS}
    async with proxied(database_url, **variables) as service:
        address, phone = new_address(), new_phone()
        for _ in range(5):
            ok(await send(service, new_phone(), address))
        wait = limited(await send(service, phone, address))
        ok(await send(service, phone))
        service.clock.move(seconds=wait)
        ok(await send(service, new_phone(), address))


async def test_a_verified_challenge_gives_its_send_back_to_the_address_that_asked(
    database_url: str,
) -> None:
    """Wherever the code is entered; another address gains nothing from it."""
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="3") as service:
        asking, entering = new_address(), new_address()
        for _ in range(3):
            ok(await send(service, new_phone(), entering))
        for _ in range(6):
            sent = ok(await send(service, new_phone(), asking))
            ok(await enter(service, sent, entering))
        limited(await send(service, new_phone(), entering))
        for _ in range(3):
            ok(await send(service, new_phone(), asking))
        limited(await send(service, new_phone(), asking))


async def test_a_send_that_the_gateway_refuses_is_given_back(database_url: str) -> None:
    """To the phone, its wait and the address."""
    inbox = BrokenInbox()
    variables = {
        "REFERRAL_RESEND_WAITS": WAITS,
        "REFERRAL_SENDS_PER_PHONE_HOUR": "2",
        "REFERRAL_SENDS_PER_PHONE_DAY": "2",
        "REFERRAL_SENDS_PER_ADDRESS_HOUR": "2",
    }
    async with proxied(database_url, inbox, **variables) as service:
        phone, address = new_phone(), new_address()
        for _ in range(6):
            refused(await send(service, phone, address), 503, "sms_unavailable")
        inbox.broken = False
        assert ok(await send(service, phone, address))["resend_in"] == 30


async def test_a_send_that_the_gateway_refuses_is_none_of_the_days_sends(
    database_url: str,
) -> None:
    """Or a gateway that is away for an hour would end the day for everybody."""
    inbox = BrokenInbox()
    async with proxied(database_url, inbox, REFERRAL_SENDS_PER_DAY="5") as service:
        for _ in range(6):
            refused(await send(service, new_phone()), 503, "sms_unavailable")
            await save_totals(service)
        inbox.broken = False
        ok(await send(service, new_phone()))


async def test_after_the_last_guess_retry_after_is_when_a_new_code_can_be_had(
    database_url: str,
) -> None:
    async with proxied(database_url, REFERRAL_RESEND_WAITS=WAITS) as service:
        phone = new_phone()
        sent = ok(await send(service, phone))
        for _ in range(3):
            refused(await guess(service, sent, wrong(sent)), 400, "wrong_code")
        wait = limited(await enter(service, sent), "too_many_attempts")
        assert wait > 20
        service.clock.move(seconds=wait)
        ok(await enter(service, ok(await send(service, phone))))


# Failures of a phone


async def test_failures_of_a_phone_make_its_codes_longer(database_url: str) -> None:
    """Two digits after 10 and after 20, never over 8; nobody else's; short again in the end."""
    async with proxied(database_url) as service:
        phone = new_phone()
        for failures, length in ((9, 4), (1, 6), (9, 6), (1, 8), (30, 8)):
            await fail(service, phone, failures)
            assert await length_of(service, phone) == length
        assert await length_of(service, new_phone()) == 4
        ok(await enter(service, ok(await send(service, phone))))
        # Twice as many failures as lengthen codes are counted at most, and half of them refill in
        # 30 days
        service.clock.move(days=32)
        assert await length_of(service, phone) == 4


async def test_codes_are_short_again_after_a_day(database_url: str) -> None:
    async with proxied(database_url) as service:
        phone = new_phone()
        await fail(service, phone, 10)
        assert await length_of(service, phone) == 6
        service.clock.move(days=1)
        assert await length_of(service, phone) == 4


async def test_failures_of_a_month_make_codes_longer(database_url: str) -> None:
    """A patient guesser, who stays under the day's number."""
    async with proxied(database_url, REFERRAL_FAILURES_PER_PHONE_MONTH="12") as service:
        phone = new_phone()
        for _ in range(2):
            await fail(service, phone, 5)
            service.clock.move(hours=25)
        assert await length_of(service, phone) == 4
        await fail(service, phone, 2)
        assert await length_of(service, phone) == 6
        service.clock.move(days=30)
        assert await length_of(service, phone) == 4


async def test_a_code_that_is_too_short_by_now_makes_way_for_a_longer_one(
    database_url: str,
) -> None:
    """Once a challenge: it ends the phone's wait, within the phone's caps. Not a second time."""
    variables = {
        "REFERRAL_RESEND_WAITS": WAITS,
        "REFERRAL_FAILURES_PER_PHONE_DAY": "3",
        "REFERRAL_SENDS_PER_PHONE_HOUR": "3",
        "REFERRAL_SENDS_PER_PHONE_DAY": "3",
    }
    async with proxied(database_url, **variables) as service:
        phone = new_phone()
        short = ok(await send(service, phone))
        service.clock.move(seconds=30)
        await fail(service, phone, 3)
        limited(await send(service, phone))
        assert limited(await enter(service, short), "too_many_attempts") == 1
        longer = ok(await send(service, phone))
        assert longer["code_length"] == 6
        assert limited(await enter(service, short), "too_many_attempts") > 1
        limited(await send(service, phone))
        ok(await enter(service, longer))


async def test_many_challenges_of_a_phone_share_its_guesses(database_url: str) -> None:
    """Asked for ahead, and guessed at all at once: 10 wrong answers in all."""
    async with proxied(database_url) as service:
        phone = new_phone()
        challenges = [ok(await send(service, phone)) for _ in range(50)]
        responses = await asyncio.gather(
            *(guess(service, sent, wrong(sent)) for sent in challenges for _ in range(2))
        )
        codes = [response.json()["code"] for response in responses]
        assert codes.count("wrong_code") == 10
        assert codes.count("too_many_attempts") == 90
        for sent in challenges[:5]:
            limited(await enter(service, sent), "too_many_attempts")


async def test_so_many_failures_in_a_day_end_a_phone(database_url: str) -> None:
    """The right code too, until the time that it is told."""
    async with proxied(database_url, REFERRAL_FAILURES_PER_PHONE_DAY_MAX="24") as service:
        phone = new_phone()
        for failures in (10, 10, 4):
            await fail(service, phone, failures)
        sent = ok(await send(service, phone))
        wait = limited(await enter(service, sent), "too_many_attempts")
        service.clock.move(seconds=wait)
        ok(await enter(service, ok(await send(service, phone))))


async def test_right_codes_are_no_failures(database_url: str) -> None:
    async with proxied(database_url) as service:
        phone, address = new_phone(), new_address()
        for _ in range(25):
            sent = ok(await send(service, phone, address))
            assert sent["code_length"] == 4
            ok(await enter(service, sent, address))


async def test_guesses_that_were_not_compared_are_no_failures(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_FAILURES_PER_PHONE_DAY="4") as service:
        phone = new_phone()
        await fail(service, phone, 3)
        spent = ok(await send(service, phone))
        ok(await enter(service, spent))
        for _ in range(5):
            refused(await guess(service, spent, wrong(spent)), 400, "challenge_spent")
            refused(await guess(service, spent, "12ab"), 400, "invalid_request")
            refused(await guess(service, {"token": "x.y"}, "1234"), 400, "challenge_invalid")
        assert await length_of(service, phone) == 4
        await fail(service, phone, 1)
        assert await length_of(service, phone) == 6


# Failures from an address


async def test_failures_from_an_address_end_there(database_url: str) -> None:
    """The guess that it refuses is taken from nobody: elsewhere the challenge is good."""
    async with proxied(database_url, REFERRAL_FAILURES_PER_ADDRESS_HOUR="6") as service:
        address = new_address()
        for _ in range(2):
            await fail(service, new_phone(), 3, address)
        sent = ok(await send(service, new_phone(), address))
        wait = limited(await enter(service, sent, address))
        ok(await enter(service, sent))
        service.clock.move(seconds=wait)
        ok(await enter(service, ok(await send(service, new_phone(), address)), address))


async def test_a_crowd_behind_one_address_signs_in(database_url: str) -> None:
    variables = {"REFERRAL_SENDS_PER_ADDRESS_HOUR": "60"}
    async with proxied(database_url, **variables) as service:
        address = new_address()

        async def sign_in() -> httpx.Response:
            return await enter(service, ok(await send(service, new_phone(), address)), address)

        for _ in range(6):
            responses = await asyncio.gather(*(sign_in() for _ in range(50)))
            assert {response.status_code for response in responses} == {201}


@pytest.mark.parametrize(
    "spelling",
    ["{forged}, {own}", "{forged},{forged}, {own}", "unknown, , {own}", "::ffff:{own}", "{own}:99"],
)
async def test_a_forged_forwarded_for_changes_nothing(database_url: str, spelling: str) -> None:
    """What stands left of the proxy's entry is anybody's word; one address has many spellings."""
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="2") as service:
        own = new_address()
        for _ in range(2):
            ok(await send(service, new_phone(), own))
        for _ in range(3):
            header = spelling.format(forged=new_address(), own=own)
            limited(await send(service, new_phone(), header))


async def test_a_forged_second_forwarded_for_line_changes_nothing(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="1") as service:
        own = new_address()
        ok(await send(service, new_phone(), own))
        response = await service.http.post(
            "/api/v1/auth/send-code",
            json={"phone": new_phone()},
            headers=[("X-Forwarded-For", new_address()), ("X-Forwarded-For", own)],
        )
        limited(response)


async def test_without_a_proxy_forwarded_for_is_ignored(database_url: str) -> None:
    variables = {"REFERRAL_SENDS_PER_ADDRESS_HOUR": "2", "REFERRAL_TRUSTED_PROXIES": "0"}
    async with proxied(database_url, **variables) as service:
        for _ in range(2):
            ok(await send(service, new_phone()))
        limited(await send(service, new_phone()))


async def test_an_ipv6_address_is_its_64_and_four_times_its_56(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="3") as service:
        for network in range(4):
            for host in range(3):
                ok(await send(service, new_phone(), f"2001:db8:0:{network}::{host + 1}"))
            if network < 3:
                limited(await send(service, new_phone(), f"2001:db8:0:{network}::ffff"))
        limited(await send(service, new_phone(), "2001:db8:0:99::1"))
        ok(await send(service, new_phone(), "2001:db8:0:100::1"))


async def test_an_ipv6_network_of_a_48_has_sixteen_times_the_limit(database_url: str) -> None:
    """Whatever part of it asks; 65,536 networks are had for nothing."""
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="2") as service:
        for network in range(32):
            ok(await send(service, new_phone(), f"2001:db8:0:{network:x}00::1"))
        limited(await send(service, new_phone(), "2001:db8:0:ff00::1"))
        ok(await send(service, new_phone(), "2001:db8:1::1"))


# Strangers and owners


async def test_strangers_cannot_lock_an_owner_out(database_url: str) -> None:
    """Whatever they use up of a phone, a device that it knows gets a short code at once."""
    variables = {
        "REFERRAL_RESEND_WAITS": WAITS,
        "REFERRAL_SENDS_PER_PHONE_HOUR": "5",
        "REFERRAL_SENDS_PER_PHONE_DAY": "10",
        "REFERRAL_FAILURES_PER_PHONE_DAY_MAX": "10",
    }
    async with proxied(database_url, **variables) as service:
        phone = new_phone()
        device = await device_of(service, phone)
        service.clock.move(days=1)
        for failures in (3, 3, 3, 1):
            await fail(service, phone, failures)
            service.clock.move(seconds=120)
        ok(await send(service, phone))
        limited(await send(service, phone))
        sent = ok(await send(service, phone, device_token=device))
        assert (sent["code_length"], sent["resend_in"]) == (4, 30)
        ok(await enter(service, sent))


async def test_an_owner_on_a_new_device_signs_in_after_the_wait(database_url: str) -> None:
    """With a longer code, at most a code's life after a stranger's last send."""
    async with proxied(database_url, REFERRAL_RESEND_WAITS=WAITS) as service:
        phone = new_phone()
        await device_of(service, phone)
        for failures in (3, 3, 3, 1):
            service.clock.move(seconds=120)
            await fail(service, phone, failures)
        wait = limited(await send(service, phone))
        assert wait <= 120
        service.clock.move(seconds=wait)
        sent = ok(await send(service, phone))
        assert sent["code_length"] == 6
        ok(await enter(service, sent))


async def test_a_known_device_passes_by_the_limits_of_its_address(database_url: str) -> None:
    variables = {
        "REFERRAL_SENDS_PER_ADDRESS_HOUR": "2",
        "REFERRAL_FAILURES_PER_ADDRESS_HOUR": "2",
    }
    async with proxied(database_url, **variables) as service:
        phone, address = new_phone(), new_address()
        device = await device_of(service, phone)
        await fail(service, new_phone(), 2, address)
        ok(await send(service, new_phone(), address))
        limited(await send(service, new_phone(), address))
        sent = ok(await send(service, phone, address, device_token=device))
        ok(await enter(service, sent, address))


async def test_a_device_token_of_another_phone_or_of_nobody_is_ignored(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_RESEND_WAITS=WAITS) as service:
        phone, other = new_phone(), new_phone()
        others = await device_of(service, other)
        sent = ok(await send(service, phone))
        for device in (others, others[:-4] + "AAAA", sent["token"], "garbage", "", "a.b.c.d.e"):
            limited(await send(service, phone, device_token=device))


async def test_a_device_token_is_good_for_180_days(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_RESEND_WAITS=WAITS) as service:
        phone = new_phone()
        device = await device_of(service, phone)
        for days, is_known in ((179, True), (2, False)):
            service.clock.move(days=days)
            ok(await send(service, phone))
            assert (await send(service, phone, device_token=device)).is_success == is_known


async def test_a_known_device_has_budgets_of_its_own(database_url: str) -> None:
    """With the same numbers: a stolen device token guesses no more, and strangers feel nothing."""
    variables = {"REFERRAL_RESEND_WAITS": WAITS, "REFERRAL_SENDS_PER_PHONE_DAY": "6"}
    async with proxied(database_url, **variables) as service:
        phone = new_phone()
        device = await device_of(service, phone)
        service.clock.move(hours=12)
        for failures in (3, 3, 3, 1):
            await fail(service, phone, failures, device_token=device)
            limited(await send(service, phone, device_token=device))
            service.clock.move(seconds=120)
        assert await length_of(service, phone, device_token=device) == 6
        service.clock.move(seconds=120)
        ok(await send(service, phone, device_token=device))
        service.clock.move(seconds=120)
        limited(await send(service, phone, device_token=device))
        assert await length_of(service, phone) == 4


# Invite codes


async def test_unknown_invite_codes_of_a_user(database_url: str) -> None:
    """10 an hour from any address, and 0 that others feel; a known one is refused then too."""
    async with proxied(database_url) as service:
        inviter, guesser, other = [await service.sign_in() for _ in range(3)]
        code = await inviter.invite_code()

        async def activate(text: str) -> httpx.Response:
            return await guesser.call(
                "PUT",
                "/profile/inviter",
                json={"invite_code": text},
                headers={"X-Forwarded-For": new_address()},
            )

        for text in [UNKNOWN, "?", "SHORT", "TOOLONGBYFAR", *[UNKNOWN] * 6]:
            refused(await activate(text), 404, "unknown_invite_code")
        wait = limited(await activate(UNKNOWN))
        limited(await activate(code))
        ok(await other.activate(code))
        service.clock.move(seconds=wait)
        assert ok(await activate(code))["activated_invite_code"] == code


async def test_unknown_invite_codes_of_an_address(database_url: str) -> None:
    """Counted where nobody is known: who signed in, or has a right code, is never refused by it."""
    async with proxied(database_url, REFERRAL_INVITE_FAILURES_PER_ADDRESS_HOUR="3") as service:
        address, inviter, invitee = new_address(), await service.sign_in(), await service.sign_in()
        code = await inviter.invite_code()
        forwarded = {"X-Forwarded-For": address}

        async def look_up(text: str) -> httpx.Response:
            return await service.get(f"/api/v1/invitations/{text}", **forwarded)

        for _ in range(3):
            refused(await look_up(UNKNOWN), 404, "unknown_invite_code")
        wait = limited(await look_up(code))
        ok(await service.get(f"/api/v1/invitations/{code}", **{"X-Forwarded-For": new_address()}))
        body = {"invite_code": code}
        ok(await invitee.call("PUT", "/profile/inviter", json=body, headers=forwarded))
        sent = ok(await send(service, new_phone(), address))
        ok(await enter(service, sent, address, invite_code=code))
        service.clock.move(seconds=wait)
        ok(await look_up(code))


async def test_unknown_invite_codes_of_a_phone_that_signs_in(database_url: str) -> None:
    """Counted by phone, with an account or without. What it refuses leaves the challenge good."""
    async with proxied(database_url, REFERRAL_INVITE_FAILURES_PER_USER_HOUR="3") as service:
        code = await (await service.sign_in()).invite_code()
        for phone in (new_phone(), (await service.sign_in()).phone):
            service.clock.move(seconds=3)
            sent = ok(await send(service, phone))
            for _ in range(3):
                answer = await enter(service, sent, invite_code=UNKNOWN)
                refused(answer, 404, "unknown_invite_code")
            limited(await enter(service, sent, invite_code=UNKNOWN))
            limited(await enter(service, sent, invite_code=code))
            ok(await enter(service, sent))


async def test_the_60_of_an_address_hold_where_they_are_looked_up(database_url: str) -> None:
    async with proxied(database_url) as service:
        forwarded = {"X-Forwarded-For": new_address()}
        for _ in range(60):
            response = await service.get(f"/api/v1/invitations/{UNKNOWN}", **forwarded)
            refused(response, 404, "unknown_invite_code")
        limited(await service.get(f"/api/v1/invitations/{UNKNOWN}", **forwarded))


async def test_known_invite_codes_cost_nothing(database_url: str) -> None:
    variables = {
        "REFERRAL_INVITE_FAILURES_PER_ADDRESS_HOUR": "2",
        "REFERRAL_INVITE_FAILURES_PER_USER_HOUR": "2",
    }
    async with proxied(database_url, **variables) as service:
        address = new_address()
        forwarded = {"X-Forwarded-For": address}
        user = await service.sign_in()
        code = await (await service.sign_in()).invite_code()
        for _ in range(4):
            ok(await service.get(f"/api/v1/invitations/{code}", **forwarded))
            body = {"invite_code": code}
            ok(await user.call("PUT", "/profile/inviter", json=body, headers=forwarded))
            sent = ok(await send(service, new_phone(), address))
            ok(await enter(service, sent, address, invite_code=code))


# Totals


async def test_failures_over_all_make_every_strangers_code_longer(database_url: str) -> None:
    """Not those of known devices, and not for longer than the failures go on."""
    async with proxied(database_url, REFERRAL_FAILURES_PER_HOUR="6") as service:
        phone = new_phone()
        device = await device_of(service, phone)
        for _ in range(2):
            await fail(service, new_phone(), 3)
        await save_totals(service)
        assert await length_of(service, new_phone()) == 6
        assert await length_of(service, phone) == 6
        assert await length_of(service, phone, device_token=device) == 4
        ok(await enter(service, ok(await send(service, phone))))
        service.clock.move(hours=1)
        await save_totals(service)
        assert await length_of(service, new_phone()) == 4


async def test_the_last_fifth_of_a_days_sends_is_for_known_devices(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_SENDS_PER_DAY="10") as service:
        phone = new_phone()
        device = await device_of(service, phone)
        for _ in range(7):
            ok(await send(service, new_phone()))
        await save_totals(service)
        wait = limited(await send(service, new_phone()))
        for _ in range(2):
            ok(await send(service, phone, device_token=device))
        await save_totals(service)
        limited(await send(service, phone, device_token=device))
        service.clock.move(days=1)
        await save_totals(service)
        ok(await send(service, new_phone()))
        assert wait <= 86_400


async def test_a_full_total_tells_when_it_works_again(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_SENDS_PER_DAY="10") as service:
        for _ in range(8):
            ok(await send(service, new_phone()))
        await save_totals(service)
        wait = limited(await send(service, new_phone()))
        service.clock.move(seconds=wait)
        await save_totals(service)
        ok(await send(service, new_phone()))


# Where it is kept


async def test_counters_name_nobody_and_are_cleared_away(database_url: str) -> None:
    async with proxied(database_url) as service:
        phone, address = new_phone(), new_address()
        sent = ok(await send(service, phone, address))
        refused(await guess(service, sent, wrong(sent), address), 400, "wrong_code")
        ok(await enter(service, sent, address))
        await service.get(f"/api/v1/invitations/{UNKNOWN}")
        await save_totals(service)
        rows = await database.query("SELECT * FROM counters")
        assert len(rows) > 5
        for row in rows:
            assert row.keys() == {"key", "tat"}
            assert phone.lstrip("+") not in row["key"]
            assert address not in row["key"]
        service.clock.move(days=31)
        await housekeeping.purge_counters(context_of(service))
        assert await database.query("SELECT * FROM counters") == []


async def test_counters_in_use_are_not_cleared_away(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_RESEND_WAITS=WAITS) as service:
        phone = new_phone()
        ok(await send(service, phone))
        service.clock.move(seconds=20)
        await housekeeping.purge_counters(context_of(service))
        limited(await send(service, phone))


async def test_counters_that_cannot_be_used_refuse_everybody(database_url: str) -> None:
    """Never "allowed": the right code does not sign in, and nothing is sent."""
    async with proxied(database_url) as service:
        sent = ok(await send(service, new_phone()))
        await database.query("ALTER TABLE counters RENAME TO counters_away")
        try:
            responses = [await enter(service, sent), await send(service, new_phone())]
        finally:
            await database.query("ALTER TABLE counters_away RENAME TO counters")
        for response in responses:
            refused(response, 503, "storage_unavailable")
            assert int(response.headers["retry-after"]) >= 1
        assert len(service.inbox.messages) == 1
        ok(await enter(service, sent))
