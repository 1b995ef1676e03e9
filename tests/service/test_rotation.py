"""Rotation of the secret in three deploys: `old,new`, `new,old`, `new`."""

from __future__ import annotations

from support import Person, Service, new_phone, ok, refused, running

OLD = "the old secret of the tests with 32 bytes or more 012345"
NEW = "the new secret of the tests with 32 bytes or more 678901"


async def still_signed_in(person: Person, service: Service) -> bool:
    """Whether the person's access token is accepted by this service."""
    person.http = service.http
    return (await person.call("GET", "/profile")).is_success


async def test_sessions_and_codes_survive_a_rotation(database_url: str) -> None:
    """Each deploy accepts what the one before issued, also while both run."""
    async with running(database_url, REFERRAL_SECRET=OLD) as first:
        person = await first.sign_in()
        sent = await first.send_code(new_phone())
    async with running(database_url, REFERRAL_SECRET=f"{OLD},{NEW}") as second:
        assert await still_signed_in(person, second)
        ok(await second.verify(sent))
        sent = await second.send_code(new_phone())
    async with running(database_url, REFERRAL_SECRET=f"{NEW},{OLD}") as third:
        assert await still_signed_in(person, third)
        ok(await third.verify(sent))
        newer = await third.sign_in()
        published = (await third.get("/.well-known/jwks.json")).json()["keys"]
        kids = [key["kid"] for key in published if key["alg"] == "ES256"]
        assert len(kids) == 2
    # A process of the second deploy that is still running
    async with running(database_url, REFERRAL_SECRET=f"{OLD},{NEW}") as second:
        assert await still_signed_in(newer, second)


async def test_a_removed_secret_keeps_sessions(database_url: str) -> None:
    async with running(database_url, REFERRAL_SECRET=OLD) as service:
        person = await service.sign_in()
        sent = await service.send_code(new_phone())
    # The start re-encrypts the data keys
    async with running(database_url, REFERRAL_SECRET=f"{NEW},{OLD}"):
        pass
    async with running(database_url, REFERRAL_SECRET=NEW) as service:
        refused(await service.verify(sent), 400, "challenge_invalid")
        assert not await still_signed_in(person, service)
        following = ok(await person.refresh())
        person.tokens |= following
        assert await still_signed_in(person, service)


async def test_repeated_refreshes_work_across_a_rotation(
    database_url: str,
) -> None:
    """The successor is derived from a data key, so every deploy derives the same one."""
    async with running(database_url, REFERRAL_SECRET=f"{OLD},{NEW}") as service:
        person = await service.sign_in()
        following = ok(await person.refresh())
    async with running(database_url, REFERRAL_SECRET=f"{NEW},{OLD}") as service:
        person.http = service.http
        assert ok(await person.refresh())["refresh_token"] == following["refresh_token"]
    async with running(database_url, REFERRAL_SECRET=NEW) as service:
        person.http = service.http
        assert ok(await person.refresh())["refresh_token"] == following["refresh_token"]


async def test_phone_digests_survive_a_rotation(database_url: str) -> None:
    async with running(database_url, REFERRAL_SECRET=OLD) as service:
        inviter = await service.sign_in()
        code = await inviter.invite_code()
        invitee = await service.sign_in(invite_code=code)
        ok(await invitee.call("DELETE", "/profile"))
    # The start re-encrypts the data keys
    async with running(database_url, REFERRAL_SECRET=f"{NEW},{OLD}"):
        pass
    async with running(database_url, REFERRAL_SECRET=NEW) as service:
        again = await service.sign_in(invitee.phone)
        refused(await again.activate(code), 409, "invite_already_activated")


async def test_data_keys_return_with_a_lost_secret(
    database_url: str,
) -> None:
    """A start with only another secret creates a second data key beside the first."""
    async with running(database_url, REFERRAL_SECRET=OLD) as service:
        inviter = await service.sign_in()
        code = await inviter.invite_code()
        invitee = await service.sign_in(invite_code=code)
        ok(await invitee.call("DELETE", "/profile"))
    async with running(database_url, REFERRAL_SECRET=NEW) as service:
        inviter.http = service.http
        inviter.tokens |= ok(await inviter.refresh())
        ok(await inviter.call("GET", "/profile"))
    async with running(database_url, REFERRAL_SECRET=f"{NEW},{OLD}") as service:
        again = await service.sign_in(invitee.phone)
        refused(await again.activate(code), 409, "invite_already_activated")
