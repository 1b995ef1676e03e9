"""An app's invitation: shown, activated by the sign-in, or refused without stopping anybody."""

from __future__ import annotations

from typing import Any

import pytest

from pages import Browser, browsing, found, signed_in
from referral.storage import database
from relying_party import (
    arrive,
    leaving_to,
    open_sign_in,
    parameters_of,
    register,
    send_code,
)
from support import Person, Service

WITHOUT = "You can go on without an invitation."


async def test_the_sign_in_activates_in_its_transaction(service: Service) -> None:
    """Both are of the same moment. The page shows whose invitation it is."""
    app, inviter = await register(service), await service.sign_in()
    await inviter.call("PUT", "/profile", json={"name": "Anna Ivanova", "email": None})
    async with browsing(service) as browser:
        page = await open_sign_in(browser, app.url(invite_code=await inviter.invite_code()))
        assert "Anna</bdi> invites you" in page
        code_page = await browser.see(await send_code(browser, page))
        back = await leaving_to(browser, await browser.enter_code(code_page))
    assert "code" in parameters_of(back)
    rows = await database.query(
        "SELECT inviter_id, created_at, activated_at FROM users WHERE phone = $1", browser.phone
    )
    assert str(rows[0]["inviter_id"]) == inviter.id()
    assert rows[0]["activated_at"] == rows[0]["created_at"]


async def test_a_person_can_go_on_without_the_invitation(service: Service) -> None:
    app, inviter = await register(service), await service.sign_in()
    async with browsing(service) as browser:
        page = await open_sign_in(browser, app.url(invite_code=await inviter.invite_code()))
        without = found(r'<a href="(/\?request=[^"]+)">Continue without it', page)
        assert "code" in parameters_of(await arrive(browser, without))
    assert (await inviter.profile())["invitee_count"] == 0


async def test_a_signed_in_person_is_asked_first(service: Service) -> None:
    app, inviter = await register(service), await service.sign_in()
    url = app.url(invite_code=await inviter.invite_code())
    async with signed_in(service) as browser:
        location = (await browser.get(url)).headers["location"]
        assert "code" in parameters_of(await answer(browser, location, "skip"))
        assert (await inviter.profile())["invitee_count"] == 0
        assert "code" in parameters_of(await answer(browser, location, "accept"))
    assert (await inviter.profile())["invitees"] == [browser.phone]


async def test_an_invitation_is_not_accepted_for_another_person(service: Service) -> None:
    """Somebody else has signed in since the question was shown, in another tab."""
    app, inviter = await register(service), await service.sign_in()
    async with signed_in(service) as browser:
        url = app.url(invite_code=await inviter.invite_code())
        location = (await browser.get(url)).headers["location"]
        shown = await browser.see(location)
        await browser.submit("/sign-out")
        await browser.sign_in()
        action = found(r'action="(/oauth/continue[^"]+)"', shown)
        again = await browser.submit(action, user="somebody else", invitation="accept")
    assert again.startswith("/oauth/continue?")
    assert (await inviter.profile())["invitee_count"] == 0


async def test_an_unknown_invite_code_is_reported(service: Service) -> None:
    """To a new person before the sign-in, to one who is signed in by the question."""
    app = await register(service)
    for code in ("ZZZZZZ", "not a code", "x" * 1000):
        async with browsing(service) as browser:
            page = await open_sign_in(browser, app.url(invite_code=code))
            assert "There is no such invite code." in page
            assert WITHOUT in page
            url = await send_code(browser, page)
            assert "code" in parameters_of(await arrive(browser, url))
            location = (await browser.get(app.url(invite_code=code))).headers["location"]
            page = await browser.see(location)
            assert WITHOUT in page
            assert "code" in parameters_of(await arrive(browser, location))


async def own_code(_service: Service, person: Person) -> str:
    return await person.invite_code()


async def second_code(service: Service, person: Person) -> str:
    """Activate one code, and return another."""
    await person.activate(await (await service.sign_in()).invite_code())
    return await (await service.sign_in()).invite_code()


async def code_of_an_invitee(service: Service, person: Person) -> str:
    invitee = await service.sign_in(invite_code=await person.invite_code())
    return await invitee.invite_code()


REFUSED = pytest.mark.parametrize(
    ("code", "message"),
    [
        (own_code, "This is your own invite code."),
        (second_code, "You have used an invite code already"),
        (code_of_an_invitee, "You invited this person"),
    ],
)


@REFUSED
async def test_a_refused_code_is_reported_after_the_sign_in(
    service: Service, code: Any, message: str
) -> None:
    app = await register(service)
    async with browsing(service) as browser:
        person = await service.sign_in(browser.phone)
        before = await code(service, person)
        service.clock.move(seconds=3)
        page = await open_sign_in(browser, app.url(invite_code=before))
        code_page = await browser.see(await send_code(browser, page))
        location = await browser.enter_code(code_page)
        await expect_report(browser, location, message)


@REFUSED
async def test_a_refused_code_is_reported_to_who_is_signed_in(
    service: Service, code: Any, message: str
) -> None:
    app = await register(service)
    async with signed_in(service) as browser:
        service.clock.move(seconds=3)
        person = await service.sign_in(browser.phone)
        invite_code = await code(service, person)
        location = (await browser.get(app.url(invite_code=invite_code))).headers["location"]
        page = await browser.see(location)
        action = found(r'action="(/oauth/continue[^"]+)"', page)
        location = await browser.submit(action, user=person.id(), invitation="accept")
        await expect_report(browser, location, message)


async def expect_report(browser: Browser, location: str, message: str) -> None:
    """Expect the page that says why, and go on from it to the app."""
    page = await browser.see(location)
    assert message in page
    assert WITHOUT in page
    assert "Accept the invitation" not in page
    assert "code" in parameters_of(await arrive(browser, location))


async def answer(browser: Browser, location: str, choice: str) -> str:
    """Answer the question about an invitation; return the app's URL."""
    page = await browser.see(location)
    action = found(r'action="(/oauth/continue[^"]+)"', page)
    user = found(r'name="user" value="([^"]+)"', page)
    return await leaving_to(browser, await browser.submit(action, user=user, invitation=choice))
