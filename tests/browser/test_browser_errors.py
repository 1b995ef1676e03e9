"""Every refusal is shown beside its field and says what to do next."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from browser import new_session
from referral.messaging.gateways import GatewayError, Message
from sites import reachable
from support import Inbox, new_phone, wrong_code
from walks import GO_ON, Scene, ask_for_code, enter, error, shown_code, sign_in

# The tests of the API check the refusals on both databases
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


class BrokenInbox(Inbox):
    async def send(self, message: Message) -> None:  # noqa: ARG002 - the base class's signature
        raise GatewayError("out of order")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("00", "This is not a phone number."),
        ("+49 30 901820", "We cannot send codes to this kind of number."),
        ("not a phone", "This is not a phone number."),
    ],
)
async def test_refused_phone(scene: Scene, typed: str, words: str) -> None:
    """The field keeps the text, and a reload clears the error."""
    session = scene.session
    await session.go("/")
    await ask_for_code(session, typed)
    assert session.path() == "/"
    assert words in await error(session, "phone")
    assert await session.page.input_value("input[name=phone]") == typed
    await session.page.reload()
    assert await session.page.locator("#phone-error").count() == 0


async def test_empty_phone_is_not_submitted(scene: Scene) -> None:
    await scene.session.go("/")
    await scene.session.page.click("button.main")
    assert await scene.session.page.locator("input[name=phone]:invalid").count() == 1


async def test_too_many_codes_show_the_wait(chromium: Browser, database_url: str) -> None:
    """In another browser; the one with the pending code redirects to its page."""
    waits = {"REFERRAL_RESEND_WAITS": "90"}
    async with (
        reachable(database_url, inbox=None, **waits) as (_, site),
        new_session(chromium, site) as session,
        new_session(chromium, site) as stranger,
    ):
        phone = new_phone()
        await session.go("/")
        await ask_for_code(session, phone)
        await stranger.go("/")
        await ask_for_code(stranger, phone)
        assert stranger.path() == "/"
        assert await error(stranger, "phone") == "Too many tries. Try again in 2 minutes."
        await session.go("/")
        await ask_for_code(session, phone)
        assert session.path().startswith("/code?tab=")
        await enter(session, await shown_code(session))
        assert session.path() == "/me"


async def test_wrong_codes_show_the_tries_left(scene: Scene) -> None:
    session = scene.session
    await session.go("/")
    await ask_for_code(session, new_phone())
    code = await shown_code(session)
    said = []
    for _ in range(3):
        await enter(session, wrong_code(code))
        assert session.path().startswith("/code?tab=")
        said.append(await error(session, "code"))
    assert "You have 2 tries left" in said[0]
    assert "You have 1 try left" in said[1]
    assert "the last try. Ask for a new one" in said[2]
    await enter(session, code)
    assert "Too many wrong codes. Ask for a new one." in await error(session, "code")
    await session.submit("#again")
    assert await session.text("[role=status]") == "A new code is on its way. Use the newest one."
    await enter(session, await shown_code(session))
    assert session.path() == "/me"


async def test_invalid_code(scene: Scene) -> None:
    """Too few digits are not submitted automatically, but by the button."""
    session = scene.session
    await session.go("/")
    await ask_for_code(session, new_phone())
    await session.page.fill("input[name=code]", "12")
    await session.submit(GO_ON)
    assert session.path().startswith("/code?tab=")
    assert await error(session, "code")


async def test_expired_code(scene: Scene) -> None:
    session = scene.session
    await session.go("/")
    await ask_for_code(session, new_phone())
    scene.service.clock.move(seconds=121)
    await enter(session, await shown_code(session))
    assert await error(session, "code") == "This code has expired. Ask for a new one."
    await session.submit("#again")
    await enter(session, await shown_code(session))
    assert session.path() == "/me"


async def test_spent_code(chromium: Browser, scene: Scene) -> None:
    """The code was entered in another browser with the same cookies."""
    session = scene.session
    await session.go("/")
    await ask_for_code(session, new_phone())
    code = await shown_code(session)
    async with new_session(chromium, session.site) as other:
        cookies = await session.context.cookies()
        await other.context.add_cookies(
            [
                {"name": each["name"], "value": each["value"], "url": session.site}
                for each in cookies
            ]
        )
        await other.go("/code")
        await enter(other, code)
        assert other.path() == "/me"
    await enter(session, code)
    assert await error(session, "code") == "This code has already been used. Ask for a new one."
    await session.submit("#again")
    await enter(session, await shown_code(session))
    assert session.path() == "/me"


async def test_message_that_could_not_be_sent(chromium: Browser, database_url: str) -> None:
    async with (
        reachable(database_url, inbox=BrokenInbox()) as (_, site),
        new_session(chromium, site) as session,
    ):
        await session.go("/")
        await ask_for_code(session, new_phone())
        said = await error(session, "phone")
        assert said == "The message could not be sent. Try again in a moment."


async def test_blocked_account(scene: Scene) -> None:
    """The session ends, and the next sign-in is refused at the code."""
    session, service = scene.session, scene.service
    phone = await sign_in(session)
    admin = await service.sign_in_admin()
    users = (await admin.call("GET", f"/users?search={phone[1:]}")).json()["items"]
    await admin.call("PATCH", f"/users/{users[0]['id']}", json={"is_blocked": True})
    await session.go("/me")
    assert session.path() == "/?next=/me"
    await ask_for_code(session, phone)
    await enter(session, await shown_code(session))
    assert await error(session, "code") == "This account is blocked. Contact support."


class TestRefusedInviteCode:
    """An invite code of a link is refused, and the sign-in continues without it."""

    async def test_unknown(self, chromium: Browser, database_url: str) -> None:
        async with (
            reachable(database_url) as (_, site),
            new_session(chromium, site, expected=[404]) as session,
        ):
            assert (await session.go("/i/ZZZZZZ")).status == 404
            words = await session.text("[role=alert]")
            assert "There is no such invite code" in words
            assert "go on without" in words
            await ask_for_code(session, new_phone())
            await enter(session, await shown_code(session))
            assert session.path() == "/me"

    async def test_own(self, scene: Scene) -> None:
        person = await scene.service.sign_in()
        await self.comes_to(scene, person.phone, await person.invite_code())
        assert "This is your own invite code." in await error(scene.session, "invite_code")

    async def test_after_another_was_activated(self, scene: Scene) -> None:
        inviter, other, person = [await scene.service.sign_in() for _ in range(3)]
        await person.activate(await other.invite_code())
        await self.comes_to(scene, person.phone, await inviter.invite_code())
        assert "an invite code already" in await scene.session.text("main")

    async def test_of_an_invitee(self, scene: Scene) -> None:
        inviter, invitee = [await scene.service.sign_in() for _ in range(2)]
        await invitee.activate(await inviter.invite_code())
        await self.comes_to(scene, inviter.phone, await invitee.invite_code())
        assert "You invited this person" in await error(scene.session, "invite_code")

    async def comes_to(self, scene: Scene, phone: str, invite_code: str) -> None:
        """Sign in to an existing account through the invite link."""
        scene.service.clock.move(seconds=3)
        await sign_in(scene.session, phone, path=f"/i/{invite_code}")
        assert scene.session.path() == "/me/account"
