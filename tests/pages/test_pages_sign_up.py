"""Joining on the pages, by invitation or while nobody new can join."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import unescape

import pytest

from accounts import delete_account, invited
from pages import Browser, browsing, code_on, error_of, found, hidden_on, signed_in, value_of
from referral.service import sign_ups
from relying_party import leaving_to, open_sign_in, parameters_of, register, send_code
from support import Person, Service, context_of, new_phone, ok, running, wrong_code

REQUIRED = "You need an invitation to join. Enter the invite code of somebody who is already here."
UNKNOWN = "There is no such invite code. Check its 6 characters."
USED_UP = "This invite code has no places left. Ask somebody else for theirs."
CLOSED = "Sign-up is closed for now. Ask the team to add your phone number."
WITHOUT = "You can go on without an invitation."


@pytest.fixture
async def by_invitation(database_url: str) -> AsyncIterator[Service]:
    """A service by invitation, whose invite codes admit one person."""
    async with running(
        database_url, REFERRAL_SIGN_UP="invited", REFERRAL_INVITES_PER_USER="1"
    ) as service:
        yield service


async def founder(service: Service) -> Person:
    phone, _ = await sign_ups.grant(context_of(service), new_phone())
    return await service.sign_in(phone)


async def enter(browser: Browser, page: str, **fields: str) -> str:
    """Submit the form for a code; return the location."""
    path = unescape(found(r'<form method="post" action="(/code\?[^"]*)"', page))
    return await browser.submit(path, **hidden_on(page), **fields)


async def test_an_invite_code_is_asked_for(by_invitation: Service) -> None:
    """Beside the code, which is kept, and taken in the same form."""
    inviter = await founder(by_invitation)
    async with browsing(by_invitation) as browser:
        assert "have an invite code ready" in await browser.see("/")
        page = await browser.submit_and_see("/", phone=browser.phone)
        code = code_on(page)
        assert 'id="invite_code"' not in page
        page = await browser.see(await enter(browser, page, code=code))
        assert error_of(page, "invite_code") == REQUIRED
        assert value_of(page, "code") == code
        for typed in ("ZZZZZZ", "no code at all, but a long text"):
            page = await browser.see(await enter(browser, page, code=code, invite_code=typed))
            assert error_of(page, "invite_code") == UNKNOWN
            assert (value_of(page, "code"), value_of(page, "invite_code")) == (code, typed)
        page = await browser.see(await enter(browser, page, code=code, invite_code=""))
        assert error_of(page, "invite_code") == REQUIRED
        link = (await inviter.profile())["invite_link"]
        assert await enter(browser, page, code=code, invite_code=link) == "/me"
    assert (await inviter.profile())["invitees"] == [browser.phone]


async def test_the_question_survives_reloads_and_resends(by_invitation: Service) -> None:
    """And a wrong code, which keeps the invite code that was typed with it."""
    inviter = await founder(by_invitation)
    async with browsing(by_invitation) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        tab = await enter(browser, page, code=code_on(page))
        await browser.see(tab)
        page = await browser.see(tab)
        assert 'id="invite_code"' in page
        wrong = wrong_code(code_on(page))
        invite_code = await inviter.invite_code()
        page = await browser.see(await enter(browser, page, code=wrong, invite_code=invite_code))
        assert "You have 2 tries left" in error_of(page, "code")
        assert value_of(page, "invite_code") == invite_code
        by_invitation.clock.move(seconds=121)
        again = unescape(found(r'action="(/code/again[^"]*)"', page))
        page = await browser.submit_and_see(again, **hidden_on(page))
        assert value_of(page, "invite_code") == invite_code
        location = await enter(browser, page, code=code_on(page), invite_code=invite_code)
        assert location == "/me"


async def test_a_refused_invitation_is_replaced(by_invitation: Service) -> None:
    """One that is used up says so on its page, and keeps the code."""
    first, second = await founder(by_invitation), await founder(by_invitation)
    await invited(by_invitation, first)
    used_up, code = await first.invite_code(), await second.invite_code()
    async with browsing(by_invitation) as browser:
        page = await browser.see(f"/i/{code}")
        assert USED_UP not in page
        page = await browser.see(f"/i/{used_up}")
        assert USED_UP in page
        assert 'id="seen"' not in page
        assert f'name="invite_code" value="{used_up}"' in page
        page = await browser.submit_and_see("/", phone=browser.phone, invite_code=used_up)
        typed = code_on(page)
        page = await browser.see(await enter(browser, page, code=typed))
        assert error_of(page, "invite_code") == USED_UP
        assert (value_of(page, "code"), value_of(page, "invite_code")) == (typed, used_up)
        assert await enter(browser, page, code=typed, invite_code=code) == "/me"
    assert (await second.profile())["invitee_count"] == 1


async def test_an_unknown_invitation_says_what_comes(by_invitation: Service) -> None:
    async with browsing(by_invitation) as browser:
        page = unescape((await browser.get("/i/ZZZZZZ")).text)
        assert f"{UNKNOWN} If you are new here, you will be asked for another one." in page
        assert WITHOUT not in page


async def test_existing_users_go_on_without_it(by_invitation: Service) -> None:
    """A refused invite code is reported on the profile, as while sign-up is open."""
    person, inviter = await founder(by_invitation), await founder(by_invitation)
    await invited(by_invitation, inviter)
    by_invitation.clock.move(seconds=3)
    for invite_code, message in (("ZZZZZZ", UNKNOWN), (await inviter.invite_code(), USED_UP)):
        async with browsing(by_invitation, person.phone) as browser:
            assert await browser.sign_in(invite_code=invite_code) == "/me/account"
            assert error_of(await browser.see("/me/account"), "invite_code") == message
        by_invitation.clock.move(seconds=3)


async def test_a_signed_in_person_is_told(by_invitation: Service) -> None:
    person, inviter = await founder(by_invitation), await founder(by_invitation)
    await invited(by_invitation, inviter)
    code = await inviter.invite_code()
    async with signed_in(by_invitation, person.phone) as browser:
        page = await browser.see(f"/i/{code}")
        assert USED_UP in page
        assert "Accept the invitation" not in page
        await browser.submit("/me/inviter", invite_code=code)
        assert error_of(await browser.see("/me/account"), "invite_code") == USED_UP


async def test_a_phone_that_may_not_activate_is_admitted(by_invitation: Service) -> None:
    first, second = await founder(by_invitation), await founder(by_invitation)
    leaver = await invited(by_invitation, first)
    await delete_account(leaver)
    async with browsing(by_invitation, leaver.phone) as browser:
        by_invitation.clock.move(seconds=3)
        assert await browser.sign_in(invite_code=await second.invite_code()) == "/me"
        assert 'action="/me/inviter"' in await browser.see("/me/account")


async def test_exhausted_tries_say_when_to_try_again(by_invitation: Service) -> None:
    """Of a phone: the address's never stop a person with a right code."""
    async with browsing(by_invitation) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        code = code_on(page)
        page = await browser.see(await enter(browser, page, code=code))
        for _ in range(11):
            page = await browser.see(await enter(browser, page, code=code, invite_code="ZZZZZZ"))
        assert "Too many tries. Try again in" in error_of(page, "invite_code")
        assert value_of(page, "code") == code


async def test_closed_sign_up_says_what_to_do(database_url: str) -> None:
    async with running(database_url, REFERRAL_SIGN_UP="closed") as service:
        inviter = await founder(service)
        async with browsing(service) as browser:
            assert "Nobody new can join at present." in await browser.see("/")
            page = await browser.see(f"/i/{await inviter.invite_code()}")
            assert CLOSED in page
            assert f'value="{await inviter.invite_code()}"' in page
            for more in ({}, {"invite_code": await inviter.invite_code()}):
                page = await browser.submit_and_see("/", phone=browser.phone, **more)
                page = await browser.see(await enter(browser, page, code=code_on(page)))
                assert error_of(page, "code") == CLOSED
            await sign_ups.grant(context_of(service), browser.phone)
            assert await enter(browser, page, code=code_on(page)) == "/me"
        service.clock.move(seconds=3)
        async with signed_in(service, inviter.phone) as browser:
            assert CLOSED not in await browser.see(f"/i/{await inviter.invite_code()}")


async def test_an_activation_that_is_too_late(database_url: str) -> None:
    async with running(database_url, REFERRAL_ACTIVATION_DAYS="1") as service:
        person = await service.sign_in()
        service.clock.move(days=2)
        inviter = await service.sign_in()
        async with signed_in(service, person.phone) as browser:
            await browser.submit("/me/inviter", invite_code=await inviter.invite_code())
            message = error_of(await browser.see("/me/account"), "invite_code")
            assert message.startswith("It is too late to use an invite code")


class TestForApps:
    async def test_a_new_phone_without_an_invitation(self, by_invitation: Service) -> None:
        """The request is kept while the invite code is asked for."""
        app, inviter = await register(by_invitation), await founder(by_invitation)
        async with browsing(by_invitation) as browser:
            page = await open_sign_in(browser, app.url())
            page = await browser.see(await send_code(browser, page))
            code = code_on(page)
            page = await browser.see(await enter(browser, page, code=code))
            assert error_of(page, "invite_code") == REQUIRED
            invite_code = await inviter.invite_code()
            location = await enter(browser, page, code=code, invite_code=invite_code)
            assert "code" in parameters_of(await leaving_to(browser, location))
        assert (await inviter.profile())["invitees"] == [browser.phone]

    async def test_an_invitation_that_is_used_up(self, by_invitation: Service) -> None:
        app = await register(by_invitation)
        first, second = await founder(by_invitation), await founder(by_invitation)
        await invited(by_invitation, first)
        async with browsing(by_invitation) as browser:
            url = app.url(invite_code=await first.invite_code())
            page = await open_sign_in(browser, url)
            assert USED_UP in page
            page = await browser.see(await send_code(browser, page))
            code = code_on(page)
            page = await browser.see(await enter(browser, page, code=code))
            assert error_of(page, "invite_code") == USED_UP
            invite_code = await second.invite_code()
            location = await enter(browser, page, code=code, invite_code=invite_code)
            assert "code" in parameters_of(await leaving_to(browser, location))
        ok(await second.call("GET", "/profile"))
        assert (await second.profile())["invitees"] == [browser.phone]

    async def test_a_known_person_goes_on(self, by_invitation: Service) -> None:
        app, person = await register(by_invitation), await founder(by_invitation)
        by_invitation.clock.move(seconds=3)
        async with browsing(by_invitation, person.phone) as browser:
            page = await open_sign_in(browser, app.url(invite_code="ZZZZZZ"))
            page = await browser.see(await send_code(browser, page))
            location = await browser.enter_code(page)
            assert "code" in parameters_of(await leaving_to(browser, location))
