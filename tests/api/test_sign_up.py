"""Sign-up: open to everybody, by invitation, or only for phones that the operator names."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from accounts import change_phone, delete_account, invited, patch_user
from referral.service import admins, sign_ups
from referral.storage import database
from support import Person, Service, context_of, new_phone, ok, refused, running, with_wrong_code

UNKNOWN = "ZZZZZZ"


@pytest.fixture
async def by_invitation(database_url: str) -> AsyncIterator[Service]:
    async with running(database_url, REFERRAL_SIGN_UP="invited") as service:
        yield service


@pytest.fixture
async def closed(database_url: str) -> AsyncIterator[Service]:
    async with running(database_url, REFERRAL_SIGN_UP="closed") as service:
        yield service


async def founder(service: Service) -> Person:
    """Sign in as somebody whom the operator has named."""
    phone, has_account = await sign_ups.grant(context_of(service), new_phone())
    assert not has_account
    person = await service.sign_in(phone)
    assert person.is_new
    return person


async def users() -> int:
    (row,) = await database.query("SELECT COUNT(*) AS number FROM users")
    number: int = row["number"]
    return number


async def test_a_new_phone_needs_an_invite_code(by_invitation: Service) -> None:
    """The challenge stays valid, and no guess is charged."""
    inviter = await founder(by_invitation)
    sent = await by_invitation.send_code(new_phone())
    for _ in range(5):
        refused(await by_invitation.verify(sent), 403, "invitation_required")
        refused(await by_invitation.verify(sent, invite_code=" "), 403, "invitation_required")
    assert await users() == 1
    response = await by_invitation.verify(sent, invite_code=await inviter.invite_code())
    assert response.status_code == 201
    assert ok(response)["profile"]["activated_invite_code"] == await inviter.invite_code()
    assert (await inviter.profile())["invitees"] == [sent["phone"]]


async def test_an_unknown_invite_code_has_its_own_error(by_invitation: Service) -> None:
    """Its tries are charged as with open sign-up, and the challenge stays valid."""
    inviter = await founder(by_invitation)
    code = await inviter.invite_code()
    sent = await by_invitation.send_code(new_phone())
    for _ in range(10):
        response = await by_invitation.verify(sent, invite_code=UNKNOWN)
        refused(response, 404, "unknown_invite_code")
    refused(await by_invitation.verify(sent, invite_code=UNKNOWN), 429, "too_many_requests")
    by_invitation.clock.move(minutes=20)
    sent = await by_invitation.send_code(sent["phone"])
    ok(await by_invitation.verify(sent, invite_code=code))


@pytest.mark.parametrize("mode", ["invited", "closed"])
async def test_only_a_right_code_is_told(database_url: str, mode: str) -> None:
    """A wrong one gets the same response for a known and an unknown phone."""
    async with running(database_url, REFERRAL_SIGN_UP=mode) as service:
        known = await founder(service)
        for phone in (known.phone, new_phone()):
            sent = with_wrong_code(await service.send_code(phone))
            for left in (2, 1, 0):
                body = refused(await service.verify(sent, invite_code=UNKNOWN), 400, "wrong_code")
                assert body["attempts_left"] == left
            refused(await service.verify(sent), 429, "too_many_attempts")


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_a_wrong_code_reads_nothing_about_accounts(by_invitation: Service) -> None:
    """For a phone with an account and for one without: nothing is looked up before."""
    known = await founder(by_invitation)
    client: Any = database.connection()
    executed: list[str] = []
    for phone in (known.phone, new_phone()):
        sent = with_wrong_code(await by_invitation.send_code(phone))
        await client._connection.set_trace_callback(executed.append)  # noqa: SLF001 - see docs/private-members.md
        refused(await by_invitation.verify(sent, invite_code=UNKNOWN), 400, "wrong_code")
        await client._connection.set_trace_callback(None)  # noqa: SLF001 - likewise
    assert [each for each in executed if "counters" in each]
    assert not [each for each in executed if re.search("users|_grants", each)]


@pytest.mark.parametrize("mode", ["invited", "closed"])
async def test_existing_users_notice_nothing(database_url: str, mode: str) -> None:
    async with running(database_url) as service:
        person, inviter = await service.sign_in(), await service.sign_in()
    async with running(database_url, REFERRAL_SIGN_UP=mode) as service:
        code = inviter.tokens["profile"]["invite_code"]
        assert not (await service.sign_in(person.phone)).is_new
        again = await service.sign_in_again(person, invite_code=code)
        assert not again.is_new
        assert (await again.profile())["activated_invite_code"] == code
        ok(await again.activate(code))


async def test_closed_sign_up_refuses_new_phones(closed: Service) -> None:
    """Whatever their invite code; the challenge stays valid until the phone is named."""
    inviter = await founder(closed)
    sent = await closed.send_code(new_phone())
    for _ in range(5):
        for invite_code in ("", UNKNOWN, await inviter.invite_code()):
            response = await closed.verify(sent, invite_code=invite_code)
            body = refused(response, 403, "sign_up_closed")
            assert "Ask the team" in body["detail"]
    await sign_ups.grant(context_of(closed), sent["phone"])
    response = await closed.verify(sent, invite_code=await inviter.invite_code())
    assert response.status_code == 201
    assert (await inviter.profile())["invitee_count"] == 1


@pytest.mark.parametrize("mode", ["invited", "closed"])
async def test_a_granted_administrator_needs_no_code(database_url: str, mode: str) -> None:
    async with running(database_url, REFERRAL_SIGN_UP=mode) as service:
        phone = new_phone()
        await admins.grant(context_of(service), phone)
        person = await service.sign_in(phone)
        assert person.is_new
        ok(await person.call("GET", "/users"))


async def test_a_grant_admits_once(by_invitation: Service) -> None:
    """A phone that signs up again needs another one; a deletion deletes one that was not used."""
    person = await founder(by_invitation)
    assert await grants() == 0
    assert await sign_ups.grant(context_of(by_invitation), person.phone) == (person.phone, True)
    assert await grants() == 0
    await database.query("INSERT INTO sign_up_grants (phone) VALUES ($1)", person.phone)
    await delete_account(person)
    assert await grants() == 0
    sent = await by_invitation.send_code(person.phone)
    refused(await by_invitation.verify(sent), 403, "invitation_required")


async def test_a_grant_is_not_for_a_later_owner_of_a_phone(by_invitation: Service) -> None:
    person = await founder(by_invitation)
    phone = new_phone()
    await sign_ups.grant(context_of(by_invitation), phone)
    by_invitation.clock.move(seconds=3)
    await change_phone(person, phone)
    assert await grants() == 0


async def grants() -> int:
    return len(await database.query("SELECT phone FROM sign_up_grants"))


class TestPhonesThatMayNotActivate:
    """A phone whose account was deleted within a year, or that left one."""

    async def test_it_is_admitted_without_activating(self, by_invitation: Service) -> None:
        first, second = await founder(by_invitation), await founder(by_invitation)
        leaver = await invited(by_invitation, first)
        await delete_account(leaver)
        sent = await by_invitation.send_code(leaver.phone)
        refused(await by_invitation.verify(sent), 403, "invitation_required")
        refused(await by_invitation.verify(sent, invite_code=UNKNOWN), 404, "unknown_invite_code")
        response = await by_invitation.verify(sent, invite_code=await second.invite_code())
        assert response.status_code == 201
        assert ok(response)["profile"]["activated_invite_code"] is None
        assert (await second.profile())["invitee_count"] == 0

    async def test_it_still_cannot_activate(self, by_invitation: Service) -> None:
        """Neither later nor by another sign-in."""
        inviter = await founder(by_invitation)
        leaver = await invited(by_invitation, inviter)
        await delete_account(leaver)
        back = await invited_again(by_invitation, leaver, inviter)
        code = await inviter.invite_code()
        refused(await back.activate(code), 409, "invite_already_activated")
        sent = await by_invitation.send_code(back.phone)
        response = await by_invitation.verify(sent, invite_code=code)
        refused(response, 409, "invite_already_activated")
        by_invitation.clock.move(days=366)
        ok(await (await by_invitation.sign_in(back.phone)).activate(code))

    async def test_a_named_one_needs_no_code(self, by_invitation: Service) -> None:
        person = await founder(by_invitation)
        await delete_account(person)
        await sign_ups.grant(context_of(by_invitation), person.phone)
        assert (await by_invitation.sign_in(person.phone)).is_new

    async def test_nothing_changes_while_sign_up_is_open(self, service: Service) -> None:
        inviter = await service.sign_in()
        leaver = await invited(service, inviter)
        await delete_account(leaver)
        sent = await service.send_code(leaver.phone)
        response = await service.verify(sent, invite_code=await inviter.invite_code())
        refused(response, 409, "invite_already_activated")
        assert (await service.verify(sent)).status_code == 201

    async def test_a_blocked_inviter_admits_nobody(self, by_invitation: Service) -> None:
        inviter = await founder(by_invitation)
        leaver = await invited(by_invitation, inviter)
        await delete_account(leaver)
        key = await by_invitation.api_key()
        code = await inviter.invite_code()
        ok(await patch_user(key, inviter, is_blocked=True))
        sent = await by_invitation.send_code(leaver.phone)
        response = await by_invitation.verify(sent, invite_code=code)
        refused(response, 404, "unknown_invite_code")


async def invited_again(service: Service, leaver: Person, inviter: Person) -> Person:
    service.clock.move(seconds=3)
    return await service.sign_in(leaver.phone, invite_code=await inviter.invite_code())


async def test_two_sign_ups_of_a_phone_at_once(by_invitation: Service) -> None:
    """The second one signs in, with the same invite code."""
    inviter = await founder(by_invitation)
    phone, code = new_phone(), await inviter.invite_code()
    first, second = await by_invitation.send_code(phone), await by_invitation.send_code(phone)
    assert (await by_invitation.verify(first, invite_code=code)).status_code == 201
    assert (await by_invitation.verify(second, invite_code=code)).status_code == 200
