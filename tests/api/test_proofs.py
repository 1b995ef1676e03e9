"""Proofs: tokens issued under a simulated gateway or to a test phone stop working afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, time

from devices import is_known
from pages import browsing
from support import TODAY, Inbox, Person, Service, new_phone, ok, refused, running

TEST_PHONE = "+79990000001"
LISTED = {"REFERRAL_TEST_PHONES": f"{TEST_PHONE}=12345678@{TODAY}"}


def set_clock(service: Service, at: time) -> None:
    service.clock.set(datetime.combine(TODAY, at, tzinfo=UTC))


async def code_of(service: Service, phone: str) -> dict[str, str]:
    """Send a code through a real gateway; return the challenge with the code from the message."""
    sent = await service.send_code(phone)
    code = service.inbox.messages[-1].code
    assert code is not None
    return {**sent, "code": code}


async def assert_worthless(person: Person) -> None:
    """Check that neither token of the session works."""
    for method, path in (("GET", "/profile"), ("GET", "/sessions"), ("DELETE", "/sessions")):
        response = await person.call(method, path)
        refused(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    refused(await person.refresh(), 401, "invalid_refresh_token")


async def test_simulated_sessions_end_with_a_real_gateway(service: Service) -> None:
    person = await service.sign_in()
    service.clock.move(seconds=3)
    sent = await service.send_code(person.phone)
    service.inbox.echoes_code = False
    refused(await service.verify(sent), 400, "challenge_invalid")
    await assert_worthless(person)
    assert not await is_known(service, person.phone, person.tokens["device_token"])
    owner = Person(
        service.http,
        person.phone,
        ok(await service.verify(await code_of(service, person.phone))),
        is_new=False,
    )
    assert len(ok(await owner.call("GET", "/sessions"))["items"]) == 1
    assert await is_known(service, person.phone, owner.tokens["device_token"])
    ok(await service.post("/auth/logout", refresh_token=person.tokens["refresh_token"]))


async def test_simulated_changes_of_phone_end_too(service: Service) -> None:
    person = await service.sign_in()
    body = {"phone": new_phone()}
    sent = ok(await person.call("POST", "/profile/phone/send-code", json=body))
    service.inbox.echoes_code = False
    phone = person.phone
    tokens = ok(await service.verify(await code_of(service, phone)))
    owner = Person(service.http, phone, tokens, is_new=False)
    body = {"token": sent["token"], "code": sent["code"]}
    refused(await owner.call("PUT", "/profile/phone", json=body), 400, "challenge_invalid")


async def test_sessions_of_a_real_gateway_stay_valid(database_url: str) -> None:
    async with running(database_url, inbox=Inbox(echoes_code=False)) as service:
        phone = new_phone()
        tokens = ok(await service.verify(await code_of(service, phone)))
        person = Person(service.http, phone, tokens, is_new=True)
        service.inbox.echoes_code = True
        ok(await person.call("GET", "/profile"))
        ok(await person.refresh())


async def test_pages_are_signed_out_with_a_real_gateway(service: Service) -> None:
    async with browsing(service) as browser:
        phone = new_phone()
        page = await browser.submit_and_see("/", phone=phone)
        await browser.enter_code(page, "/code")
        service.clock.move(seconds=3)
        await browser.submit("/again", next="/me")
        service.inbox.echoes_code = False
        response = await browser.get("/code")
        assert (response.status_code, response.headers["location"]) == (303, "/?restarted=1")
        response = await browser.get("/me")
        assert (response.status_code, response.headers["location"]) == (303, "/?next=/me")
        assert (await browser.get("/")).status_code == 200


async def test_a_test_phones_sessions_end_with_its_date(database_url: str) -> None:
    async with running(database_url, inbox=Inbox(echoes_code=False), **LISTED) as service:
        set_clock(service, time(23, 58))
        sent = {**await service.send_code(TEST_PHONE), "code": "12345678"}
        tokens = ok(await service.verify(sent))
        person = Person(service.http, TEST_PHONE, tokens, is_new=True)
        again = {**await service.send_code(TEST_PHONE), "code": "12345678"}
        ok(await person.call("GET", "/profile"))
        service.clock.move(seconds=119)
        ok(await person.call("GET", "/profile"))
        service.clock.move(seconds=2)
        await assert_worthless(person)
        refused(await service.verify(again), 400, "challenge_expired")
        assert not await is_known(service, TEST_PHONE, tokens["device_token"])


async def test_a_test_phones_sessions_end_once_it_is_unlisted(database_url: str) -> None:
    """With either gateway. As long as the phone is listed, they work with either gateway."""
    async with running(database_url, inbox=Inbox(), **LISTED) as service:
        set_clock(service, time(12))
        sent = {**await service.send_code(TEST_PHONE), "code": "12345678"}
        tokens = ok(await service.verify(sent))
        waiting = {**await service.send_code(TEST_PHONE), "code": "12345678"}
        person = Person(service.http, TEST_PHONE, tokens, is_new=True)
        service.inbox.echoes_code = False
        ok(await person.call("GET", "/profile"))
    for echoes_code in (True, False):
        async with running(database_url, inbox=Inbox(echoes_code=echoes_code)) as service:
            set_clock(service, time(12, 0, 30))
            person.http = service.http
            refused(await service.verify(waiting), 400, "challenge_invalid")
            await assert_worthless(person)
            assert not await is_known(service, TEST_PHONE, tokens["device_token"])


async def test_a_test_phones_session_survives_a_change_of_phone(database_url: str) -> None:
    """Once moved to a real phone, the session counts for that phone."""
    async with running(database_url, inbox=Inbox(echoes_code=False), **LISTED) as service:
        set_clock(service, time(12))
        sent = {**await service.send_code(TEST_PHONE), "code": "12345678"}
        person = Person(service.http, TEST_PHONE, ok(await service.verify(sent)), is_new=True)
        body = {"phone": new_phone()}
        sent = ok(await person.call("POST", "/profile/phone/send-code", json=body))
        messages = len(service.inbox.messages)
        body = {"token": sent["token"], "code": service.inbox.messages[-1].code or ""}
        ok(await person.call("PUT", "/profile/phone", json=body))
        ok(await person.call("GET", "/profile"))
        ok(await person.refresh())
        # Test phones get no messages
        assert len(service.inbox.messages) == messages
