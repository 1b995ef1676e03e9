"""Limits: what is refused, for how long, and what must not be.

Each request has an address of its own, which one trusted proxy forwards, unless a test says so.
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
    proxied,
    save_global_limits,
    send,
)
from referral.service import housekeeping
from referral.storage import database
from support import Service, context_of, new_address, new_phone, ok, refused, wrong_code


async def length_of(service: Service, phone: str, **more: str) -> int:
    """Return how many digits a new code for the phone has."""
    length: int = ok(await send(service, phone, **more))["code_length"]
    return length


# Sends


@pytest.mark.parametrize("sends_in_hour", ["5", "1000"])
async def test_waits_between_sends_grow(database_url: str, sends_in_hour: str) -> None:
    """A send is refused until the wait is over, whatever the cap."""
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
    """Also if the sends of the hour are used up."""
    variables = {"REFERRAL_RESEND_WAITS": WAITS, "REFERRAL_SENDS_PER_PHONE_HOUR": "5"}
    async with proxied(database_url, **variables) as service:
        phone = new_phone()
        for _ in range(8):
            sent = ok(await send(service, phone))
            service.clock.move(seconds=sent["resend_in"])


@pytest.mark.parametrize("waits", ["30,0", "0,30,0", "0,0,30"])
async def test_waits_of_zero_among_others(database_url: str, waits: str) -> None:
    """A wait that is not over refuses a send even if the next wait is 0."""
    async with proxied(database_url, REFERRAL_RESEND_WAITS=waits) as service:
        phone = new_phone()
        for wait in map(int, waits.split(",")):
            assert ok(await send(service, phone))["resend_in"] == wait
            if wait:
                assert limited(await send(service, phone)) <= wait
                service.clock.move(seconds=wait)


async def test_caps_may_be_very_large(database_url: str) -> None:
    large = "1000000000"
    names = ("PHONE_HOUR", "PHONE_DAY", "ADDRESS_HOUR", "DAY")
    variables = {f"REFERRAL_SENDS_PER_{name}": large for name in names}
    async with proxied(database_url, **variables) as service:
        phone, address = new_phone(), new_address()
        responses = await asyncio.gather(*(send(service, phone, address) for _ in range(50)))
        assert {response.status_code for response in responses} == {200}
        await save_global_limits(service)
        ok(await enter(service, ok(await send(service, phone, address)), address))


async def test_retry_after_is_that_of_the_longest_limit(database_url: str) -> None:
    """The phone's wait is short, its hour cap and the sends overall are not."""
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
            refused(await guess(service, sent, wrong_code(sent["code"])), 400, "wrong_code")
        assert abs(limited(await enter(service, sent), "too_many_attempts") - wait) <= 1
        await save_global_limits(service)
        service.clock.move(seconds=wait)
        await save_global_limits(service)
        ok(await send(service, phone))


async def test_wait_is_never_longer_than_a_code_lives(database_url: str) -> None:
    variables = {"REFERRAL_RESEND_WAITS": "300", "REFERRAL_CODE_TTL": "40"}
    async with proxied(database_url, **variables) as service:
        assert ok(await send(service, new_phone()))["resend_in"] == 40


async def test_one_of_many_parallel_sends_passes_the_wait(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_RESEND_WAITS=WAITS) as service:
        phone = new_phone()
        responses = await asyncio.gather(*(send(service, phone) for _ in range(20)))
        assert sum(response.is_success for response in responses) == 1
        assert len(service.inbox.messages) == 1


@pytest.mark.parametrize(
    ("setting", "size", "seconds"),
    [("REFERRAL_SENDS_PER_PHONE_HOUR", 5, 3600), ("REFERRAL_SENDS_PER_PHONE_DAY", 10, 86_400)],
)
async def test_phone_has_an_hour_and_a_day_cap(
    database_url: str, setting: str, size: int, seconds: int
) -> None:
    """For requests from any address; other phones are not affected."""
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


async def test_address_has_an_hour_cap(database_url: str) -> None:
    """A refused send charges nothing: it gives the phone no wait."""
    variables = {"REFERRAL_SENDS_PER_ADDRESS_HOUR": "5", "REFERRAL_RESEND_WAITS": WAITS}
    async with proxied(database_url, **variables) as service:
        address, phone = new_address(), new_phone()
        for _ in range(5):
            ok(await send(service, new_phone(), address))
        wait = limited(await send(service, phone, address))
        ok(await send(service, phone))
        service.clock.move(seconds=wait)
        ok(await send(service, new_phone(), address))


async def test_verified_challenge_refunds_the_address_that_asked(
    database_url: str,
) -> None:
    """Wherever the code is entered; other addresses are not refunded."""
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


async def test_send_that_the_gateway_refuses_is_refunded(database_url: str) -> None:
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


async def test_send_that_the_gateway_refuses_is_refunded_overall(
    database_url: str,
) -> None:
    """Else a gateway that is down for an hour would use up the day's sends of everybody."""
    inbox = BrokenInbox()
    async with proxied(database_url, inbox, REFERRAL_SENDS_PER_DAY="5") as service:
        for _ in range(6):
            refused(await send(service, new_phone()), 503, "sms_unavailable")
            await save_global_limits(service)
        inbox.broken = False
        ok(await send(service, new_phone()))


async def test_after_the_last_guess_retry_after_is_the_next_send(
    database_url: str,
) -> None:
    async with proxied(database_url, REFERRAL_RESEND_WAITS=WAITS) as service:
        phone = new_phone()
        sent = ok(await send(service, phone))
        for _ in range(3):
            refused(await guess(service, sent, wrong_code(sent["code"])), 400, "wrong_code")
        wait = limited(await enter(service, sent), "too_many_attempts")
        assert wait > 20
        service.clock.move(seconds=wait)
        ok(await enter(service, ok(await send(service, phone))))


# Failures of a phone


async def test_failures_of_a_phone_lengthen_its_codes(database_url: str) -> None:
    """By two digits after 10 and after 20, up to 8. Other phones' codes stay short."""
    async with proxied(database_url) as service:
        phone = new_phone()
        for failures, length in ((9, 4), (1, 6), (9, 6), (1, 8), (30, 8)):
            await fail(service, phone, failures)
            assert await length_of(service, phone) == length
        assert await length_of(service, new_phone()) == 4
        ok(await enter(service, ok(await send(service, phone))))
        # At most twice the budget is counted, and one budget refills in 30 days
        service.clock.move(days=32)
        assert await length_of(service, phone) == 4


async def test_codes_are_short_again_after_a_day(database_url: str) -> None:
    async with proxied(database_url) as service:
        phone = new_phone()
        await fail(service, phone, 10)
        assert await length_of(service, phone) == 6
        service.clock.move(days=1)
        assert await length_of(service, phone) == 4


async def test_failures_of_a_month_lengthen_codes(database_url: str) -> None:
    """Also if they stay below the budget of a day."""
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


async def test_code_that_is_too_short_by_now_allows_a_resend(
    database_url: str,
) -> None:
    """It clears the phone's wait once a challenge, within the phone's caps."""
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


async def test_challenges_of_a_phone_share_its_failures(database_url: str) -> None:
    """Of parallel guesses at 50 challenges, 10 are compared."""
    async with proxied(database_url) as service:
        phone = new_phone()
        challenges = [ok(await send(service, phone)) for _ in range(50)]
        responses = await asyncio.gather(
            *(
                guess(service, sent, wrong_code(sent["code"]))
                for sent in challenges
                for _ in range(2)
            )
        )
        codes = [response.json()["code"] for response in responses]
        assert codes.count("wrong_code") == 10
        assert codes.count("too_many_attempts") == 90
        for sent in challenges[:5]:
            limited(await enter(service, sent), "too_many_attempts")


async def test_phone_is_refused_after_the_failures_of_a_day(database_url: str) -> None:
    """The right code too, until the time in Retry-After."""
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


async def test_refused_guesses_are_no_failures(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_FAILURES_PER_PHONE_DAY="4") as service:
        phone = new_phone()
        await fail(service, phone, 3)
        spent = ok(await send(service, phone))
        ok(await enter(service, spent))
        for _ in range(5):
            refused(await guess(service, spent, wrong_code(spent["code"])), 400, "challenge_spent")
            refused(await guess(service, spent, "12ab"), 400, "invalid_request")
            refused(await guess(service, {"token": "x.y"}, "1234"), 400, "challenge_invalid")
        assert await length_of(service, phone) == 4
        await fail(service, phone, 1)
        assert await length_of(service, phone) == 6


# Failures from an address


async def test_failures_from_an_address_refuse_its_guesses(database_url: str) -> None:
    """A refused guess is not charged: the challenge is still valid from elsewhere."""
    async with proxied(database_url, REFERRAL_FAILURES_PER_ADDRESS_HOUR="6") as service:
        address = new_address()
        for _ in range(2):
            await fail(service, new_phone(), 3, address)
        sent = ok(await send(service, new_phone(), address))
        wait = limited(await enter(service, sent, address))
        ok(await enter(service, sent))
        service.clock.move(seconds=wait)
        ok(await enter(service, ok(await send(service, new_phone(), address)), address))


async def test_burst_behind_one_address_signs_in(database_url: str) -> None:
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
async def test_forged_forwarded_for_changes_nothing(database_url: str, spelling: str) -> None:
    """Entries before the proxy's own are ignored; one address has many spellings."""
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="2") as service:
        own = new_address()
        for _ in range(2):
            ok(await send(service, new_phone(), own))
        for _ in range(3):
            header = spelling.format(forged=new_address(), own=own)
            limited(await send(service, new_phone(), header))


async def test_forged_forwarded_for_line_changes_nothing(database_url: str) -> None:
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


async def test_ipv6_is_limited_by_its_64_and_56(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="3") as service:
        for network in range(4):
            for host in range(3):
                ok(await send(service, new_phone(), f"2001:db8:0:{network}::{host + 1}"))
            if network < 3:
                limited(await send(service, new_phone(), f"2001:db8:0:{network}::ffff"))
        limited(await send(service, new_phone(), "2001:db8:0:99::1"))
        ok(await send(service, new_phone(), "2001:db8:0:100::1"))


async def test_ipv6_48_has_sixteen_times_the_limit(database_url: str) -> None:
    """Anybody can get a /48, which has 65,536 networks, for free."""
    async with proxied(database_url, REFERRAL_SENDS_PER_ADDRESS_HOUR="2") as service:
        for network in range(32):
            ok(await send(service, new_phone(), f"2001:db8:0:{network:x}00::1"))
        limited(await send(service, new_phone(), "2001:db8:0:ff00::1"))
        ok(await send(service, new_phone(), "2001:db8:1::1"))


# Strangers and owners


async def test_strangers_cannot_lock_an_owner_out(database_url: str) -> None:
    """Whatever they use up of a phone, a known device gets a short code immediately."""
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


async def test_owner_on_a_new_device_signs_in_after_the_wait(database_url: str) -> None:
    """With a longer code, at most the life of a code after a stranger's last send."""
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


async def test_known_device_is_exempt_from_address_limits(database_url: str) -> None:
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


async def test_invalid_device_token_is_ignored(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_RESEND_WAITS=WAITS) as service:
        phone, other = new_phone(), new_phone()
        others = await device_of(service, other)
        sent = ok(await send(service, phone))
        for device in (others, others[:-4] + "AAAA", sent["token"], "garbage", "", "a.b.c.d.e"):
            limited(await send(service, phone, device_token=device))


async def test_device_token_is_valid_for_180_days(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_RESEND_WAITS=WAITS) as service:
        phone = new_phone()
        device = await device_of(service, phone)
        for days, is_known in ((179, True), (2, False)):
            service.clock.move(days=days)
            ok(await send(service, phone))
            assert (await send(service, phone, device_token=device)).is_success == is_known


async def test_known_device_has_budgets_of_its_own(database_url: str) -> None:
    """With the same numbers, so a stolen device token allows no more guesses."""
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


async def test_unknown_invite_codes_are_charged_to_the_user(database_url: str) -> None:
    """10 an hour from any address; then known codes are refused too, but not to others."""
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


async def test_unknown_invite_codes_are_charged_to_the_address(database_url: str) -> None:
    """Only for clients that are not signed in and have no right sign-in code."""
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


async def test_unknown_invite_codes_are_charged_to_the_phone(database_url: str) -> None:
    """At sign-in, with an account or without. A refusal leaves the challenge valid."""
    async with proxied(database_url, REFERRAL_INVITE_FAILURES_PER_USER_HOUR="3") as service:
        code = await (await service.sign_in()).invite_code()
        for phone in (new_phone(), (await service.sign_in()).phone):
            service.clock.move(seconds=3)
            sent = ok(await send(service, phone))
            for _ in range(3):
                response = await enter(service, sent, invite_code=UNKNOWN)
                refused(response, 404, "unknown_invite_code")
            limited(await enter(service, sent, invite_code=UNKNOWN))
            limited(await enter(service, sent, invite_code=code))
            ok(await enter(service, sent))


async def test_address_has_60_unknown_invite_codes_an_hour(database_url: str) -> None:
    async with proxied(database_url) as service:
        forwarded = {"X-Forwarded-For": new_address()}
        for _ in range(60):
            response = await service.get(f"/api/v1/invitations/{UNKNOWN}", **forwarded)
            refused(response, 404, "unknown_invite_code")
        limited(await service.get(f"/api/v1/invitations/{UNKNOWN}", **forwarded))


async def test_known_invite_codes_are_not_charged(database_url: str) -> None:
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


# Limits overall


async def test_failures_overall_lengthen_codes_of_all_strangers(database_url: str) -> None:
    """Not those of known devices, and only as long as the failures go on."""
    async with proxied(database_url, REFERRAL_FAILURES_PER_HOUR="6") as service:
        phone = new_phone()
        device = await device_of(service, phone)
        for _ in range(2):
            await fail(service, new_phone(), 3)
        await save_global_limits(service)
        assert await length_of(service, new_phone()) == 6
        assert await length_of(service, phone) == 6
        assert await length_of(service, phone, device_token=device) == 4
        ok(await enter(service, ok(await send(service, phone))))
        service.clock.move(hours=1)
        await save_global_limits(service)
        assert await length_of(service, new_phone()) == 4


async def test_last_fifth_of_a_days_sends_is_for_known_devices(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_SENDS_PER_DAY="10") as service:
        phone = new_phone()
        device = await device_of(service, phone)
        for _ in range(7):
            ok(await send(service, new_phone()))
        await save_global_limits(service)
        wait = limited(await send(service, new_phone()))
        for _ in range(2):
            ok(await send(service, phone, device_token=device))
        await save_global_limits(service)
        limited(await send(service, phone, device_token=device))
        service.clock.move(days=1)
        await save_global_limits(service)
        ok(await send(service, new_phone()))
        assert wait <= 86_400


async def test_retry_after_of_the_sends_overall(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_SENDS_PER_DAY="10") as service:
        for _ in range(8):
            ok(await send(service, new_phone()))
        await save_global_limits(service)
        wait = limited(await send(service, new_phone()))
        service.clock.move(seconds=wait)
        await save_global_limits(service)
        ok(await send(service, new_phone()))


# Where counters are kept


async def test_counters_reveal_nobody_and_are_purged(database_url: str) -> None:
    async with proxied(database_url) as service:
        phone, address = new_phone(), new_address()
        sent = ok(await send(service, phone, address))
        refused(await guess(service, sent, wrong_code(sent["code"]), address), 400, "wrong_code")
        ok(await enter(service, sent, address))
        await service.get(f"/api/v1/invitations/{UNKNOWN}")
        await save_global_limits(service)
        rows = await database.query("SELECT * FROM counters")
        assert len(rows) > 5
        for row in rows:
            assert row.keys() == {"key", "tat"}
            assert phone.lstrip("+") not in row["key"]
            assert address not in row["key"]
        service.clock.move(days=31)
        await housekeeping.purge_counters(context_of(service))
        assert await database.query("SELECT * FROM counters") == []


async def test_counters_in_use_are_not_purged(database_url: str) -> None:
    async with proxied(database_url, REFERRAL_RESEND_WAITS=WAITS) as service:
        phone = new_phone()
        ok(await send(service, phone))
        service.clock.move(seconds=20)
        await housekeeping.purge_counters(context_of(service))
        limited(await send(service, phone))


async def test_requests_are_refused_if_counters_are_unavailable(database_url: str) -> None:
    """The right code does not sign in, and nothing is sent."""
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
