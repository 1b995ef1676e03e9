"""How many people an invite code admits, and until when one can be activated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from accounts import delete_account, invited, moved
from referral.service import sign_ups
from referral.storage import database
from support import Person, Service, context_of, new_phone, ok, refused, running


@pytest.fixture
async def two_places(database_url: str) -> AsyncIterator[Service]:
    """A service whose invite codes admit two people."""
    async with running(database_url, REFERRAL_INVITES_PER_USER="2") as service:
        yield service


@pytest.fixture
async def two_invitations(database_url: str) -> AsyncIterator[Service]:
    """A service by invitation, whose invite codes admit two people."""
    async with running(
        database_url, REFERRAL_SIGN_UP="invited", REFERRAL_INVITES_PER_USER="2"
    ) as service:
        yield service


async def named(service: Service) -> Person:
    """Sign up without an invitation."""
    phone, _ = await sign_ups.grant(context_of(service), new_phone())
    return await service.sign_in(phone)


async def joining(service: Service, inviter: Person, phone: str | None = None) -> Any:
    """Verify a right code of a phone with the inviter's invite code; return the response."""
    sent = await service.send_code(phone or new_phone())
    return await service.verify(sent, invite_code=await inviter.invite_code())


async def places_taken(person: Person) -> int | None:
    (row,) = await database.query("SELECT places_taken FROM users WHERE id = $1", person.id())
    number: int | None = row["places_taken"]
    return number


async def test_a_used_up_code_admits_nobody(two_places: Service) -> None:
    """Neither at sign-up nor later; then the new phone signs up without it."""
    inviter, later = await two_places.sign_in(), await two_places.sign_in()
    ok(await joining(two_places, inviter))
    ok(await later.activate(await inviter.invite_code()))
    sent = await two_places.send_code(new_phone())
    code = await inviter.invite_code()
    for _ in range(5):
        body = refused(await two_places.verify(sent, invite_code=code), 409, "invites_used_up")
        assert "somebody else" in body["detail"]
    assert (await two_places.verify(sent)).status_code == 201
    refused(await (await two_places.sign_in()).activate(code), 409, "invites_used_up")
    assert (await inviter.profile())["invitee_count"] == 2


async def test_the_same_code_again_needs_no_place(two_places: Service) -> None:
    inviter = await two_places.sign_in()
    invitees = [await invited(two_places, inviter) for _ in range(2)]
    code = await inviter.invite_code()
    ok(await invitees[0].activate(code))
    two_places.clock.move(seconds=3)
    assert (await joining(two_places, inviter, invitees[1].phone)).status_code == 200
    assert await places_taken(inviter) == 2


async def test_a_void_frees_a_place(two_places: Service) -> None:
    inviter, key = await two_places.sign_in(), await two_places.api_key()
    first, _ = [await invited(two_places, inviter) for _ in range(2)]
    ok(await key.call("DELETE", f"/users/{first.id()}/inviter"))
    ok(await joining(two_places, inviter))
    refused(await joining(two_places, inviter), 409, "invites_used_up")
    refused(await first.activate(await inviter.invite_code()), 409, "invites_used_up")


async def test_a_deletion_frees_no_place(two_places: Service) -> None:
    """Until the deleted user's activation is voided."""
    inviter, key = await two_places.sign_in(), await two_places.api_key()
    first, second = [await invited(two_places, inviter) for _ in range(2)]
    for each in (first, second):
        await delete_account(each)
    assert (await inviter.profile())["invitee_count"] == 0
    refused(await joining(two_places, inviter), 409, "invites_used_up")
    ok(await key.call("DELETE", f"/users/{first.id()}/inviter"))
    ok(await joining(two_places, inviter))
    refused(await joining(two_places, inviter), 409, "invites_used_up")


@pytest.mark.parametrize("leaver", ["deleted", "moved"])
async def test_invitees_before_the_limit_count(database_url: str, leaver: str) -> None:
    """Also one who has left since."""
    async with running(database_url) as service:
        inviter = await service.sign_in()
        first, _ = [await invited(service, inviter) for _ in range(2)]
        assert await places_taken(inviter) is None
        if leaver == "deleted":
            await delete_account(first)
        else:
            await moved(service, first)
    async with running(database_url, REFERRAL_INVITES_PER_USER="3") as service:
        inviter = await service.sign_in(inviter.phone)
        ok(await joining(service, inviter))
        assert await places_taken(inviter) == 3
        refused(await joining(service, inviter), 409, "invites_used_up")
    async with running(database_url) as service:
        inviter = await service.sign_in(inviter.phone)
        ok(await joining(service, inviter))
        assert await places_taken(inviter) == 4
    async with running(database_url, REFERRAL_INVITES_PER_USER="4") as service:
        inviter = await service.sign_in(inviter.phone)
        refused(await joining(service, inviter), 409, "invites_used_up")


class TestByInvitation:
    """A phone whose account is gone is admitted without activating, and takes one place."""

    async def test_it_takes_a_place(self, two_invitations: Service) -> None:
        service = two_invitations
        first, second = await named(service), await named(service)
        leaver = await invited(service, first)
        await delete_account(leaver)
        service.clock.move(seconds=3)
        ok(await joining(service, second, leaver.phone))
        assert await places_taken(second) == 1
        ok(await joining(service, second))
        refused(await joining(service, second), 409, "invites_used_up")

    async def test_it_takes_no_second_one(self, two_invitations: Service) -> None:
        """However often it leaves and comes back, even once the code is used up."""
        service = two_invitations
        first, second = await named(service), await named(service)
        leaver = await invited(service, first)
        ok(await joining(service, first))
        ok(await joining(service, second))
        codes = [await each.invite_code() for each in (first, second)]
        for number, days in ((0, 0), (1, 0), (1, 200), (1, 200), (0, 0)):
            leaver = await service.sign_in_again(leaver)
            await delete_account(leaver)
            service.clock.move(days=days, seconds=3)
            sent = await service.send_code(leaver.phone)
            response = await service.verify(sent, invite_code=codes[number])
            assert response.status_code == 201
            leaver.tokens = ok(response)
        assert await places_taken(first) == 2
        assert await places_taken(second) == 2
        first = await service.sign_in_again(first)
        refused(await joining(service, first), 409, "invites_used_up")

    async def test_a_used_up_code_does_not_admit_it(self, two_invitations: Service) -> None:
        service = two_invitations
        first, second = await named(service), await named(service)
        leaver = await invited(service, first)
        await delete_account(leaver)
        for _ in range(2):
            ok(await joining(service, second))
        service.clock.move(seconds=3)
        response = await joining(service, second, leaver.phone)
        refused(response, 409, "invites_used_up")
        assert not await database.query("SELECT id FROM users WHERE phone = $1", leaver.phone)

    async def test_a_phone_that_was_moved_from(self, two_invitations: Service) -> None:
        """Its user keeps the place, and it takes none of the same inviter."""
        service = two_invitations
        inviter = await named(service)
        person = await invited(service, inviter)
        left = person.phone
        await moved(service, person)
        service.clock.move(seconds=3)
        ok(await joining(service, inviter, left))
        assert await places_taken(inviter) == 1

    async def test_a_later_activation_keeps_its_place(self, two_invitations: Service) -> None:
        """A year after its account was deleted it may activate, and takes no second place."""
        service = two_invitations
        first, second = await named(service), await named(service)
        leaver = await invited(service, first)
        await delete_account(leaver)
        service.clock.move(days=300)
        second = await service.sign_in_again(second)
        tokens = ok(await joining(service, second, leaver.phone))
        back = Person(service.http, leaver.phone, tokens, is_new=True)
        ok(await joining(service, second))
        service.clock.move(days=66)
        second, back = await service.sign_in_again(second), await service.sign_in_again(back)
        ok(await back.activate(await second.invite_code()))
        assert await places_taken(second) == 2
        assert (await second.profile())["invitee_count"] == 2
        key = await service.api_key()
        ok(await key.call("DELETE", f"/users/{back.id()}/inviter"))
        assert await places_taken(second) == 1

    async def test_places_are_counted_before_they_are_limited(self, database_url: str) -> None:
        async with running(database_url, REFERRAL_SIGN_UP="invited") as service:
            first, second = await named(service), await named(service)
            leaver = await invited(service, first)
            await delete_account(leaver)
            service.clock.move(seconds=3)
            ok(await joining(service, second, leaver.phone))
            assert await places_taken(second) is None
        async with running(
            database_url, REFERRAL_SIGN_UP="invited", REFERRAL_INVITES_PER_USER="1"
        ) as service:
            second = await service.sign_in(second.phone)
            refused(await joining(service, second), 409, "invites_used_up")


class TestActivationDays:
    @pytest.fixture
    async def ten_days(self, database_url: str) -> AsyncIterator[Service]:
        """A service in which an invite code can be activated for 10 days."""
        async with running(database_url, REFERRAL_ACTIVATION_DAYS="10") as service:
            yield service

    async def test_a_user_can_activate_in_time_only(self, ten_days: Service) -> None:
        """By a sign-in and afterwards. The same code again is always possible."""
        inviter = await ten_days.sign_in()
        in_time, late = await ten_days.sign_in(), await ten_days.sign_in()
        ten_days.clock.move(days=9)
        in_time = await ten_days.sign_in_again(in_time)
        inviter = await ten_days.sign_in_again(inviter)
        code = await inviter.invite_code()
        ok(await in_time.activate(code))
        ten_days.clock.move(days=2)
        late, in_time = [await ten_days.sign_in_again(each) for each in (late, in_time)]
        refused(await late.activate(code), 409, "activation_too_late")
        sent = await ten_days.send_code(late.phone)
        response = await ten_days.verify(sent, invite_code=code)
        refused(response, 409, "activation_too_late")
        assert (await ten_days.verify(sent)).status_code == 200
        ok(await in_time.activate(code))
        assert (await ten_days.sign_in(invite_code=code)).is_new

    async def test_the_days_begin_anew_with_a_void(self, ten_days: Service) -> None:
        inviter = await ten_days.sign_in()
        invitee = await invited(ten_days, inviter)
        ten_days.clock.move(days=11)
        key = await ten_days.api_key()
        ok(await key.call("DELETE", f"/users/{invitee.id()}/inviter"))
        invitee, inviter = [await ten_days.sign_in_again(each) for each in (invitee, inviter)]
        ten_days.clock.move(days=9)
        invitee, inviter = [await ten_days.sign_in_again(each) for each in (invitee, inviter)]
        ok(await invitee.activate(await inviter.invite_code()))
        ok(await key.call("DELETE", f"/users/{invitee.id()}/inviter"))
        ten_days.clock.move(days=11)
        invitee, inviter = [await ten_days.sign_in_again(each) for each in (invitee, inviter)]
        response = await invitee.activate(await inviter.invite_code())
        refused(response, 409, "activation_too_late")


@pytest.mark.parametrize("mode", ["invited", "open"])
async def test_the_last_place_is_given_once(database_url: str, mode: str) -> None:
    """To one of many who want it at once. tests/faults has this with several processes."""
    async with running(
        database_url, REFERRAL_SIGN_UP=mode, REFERRAL_INVITES_PER_USER="1"
    ) as service:
        inviter = await named(service)
        responses = await asyncio.gather(*(joining(service, inviter) for _ in range(20)))
        statuses = sorted(response.status_code for response in responses)
        assert statuses == [201] + [409] * 19
        assert await places_taken(inviter) == 1
        assert (await inviter.profile())["invitee_count"] == 1
