"""Moving to another phone, and the invite codes of a phone that has left an account."""

from __future__ import annotations

import asyncio

import pytest

from accounts import confirm, delete_account, invited, moved, phone_code
from referral.storage import database
from support import Service, new_phone, ok, refused, with_wrong_code


async def test_a_refused_change_of_phone_sends_no_message(service: Service) -> None:
    person = await service.sign_in()
    service.clock.move(minutes=14, seconds=50)
    person.tokens = ok(await person.refresh())
    service.clock.move(seconds=11)
    before = len(service.inbox.messages)
    response = await person.call("POST", "/profile/phone/send-code", json={"phone": new_phone()})
    refused(response, 403, "sign_in_again")
    assert len(service.inbox.messages) == before


# Another phone


async def test_a_change_of_phone(service: Service) -> None:
    """All other sessions end, and the old phone gets a message."""
    here = await service.sign_in()
    there = await service.sign_in_again(here)
    before = await here.profile()
    new = new_phone()
    response = await confirm(here, await phone_code(here, new))
    assert ok(response) == {**before, "phone": new}
    assert await here.profile() == {**before, "phone": new}
    ok(await here.refresh())
    refused(await there.call("GET", "/profile"), 401, "unauthorized")
    refused(await there.refresh(), 401, "invalid_refresh_token")
    last = service.inbox.messages[-1]
    assert last.phone == here.phone
    assert new not in last.text
    assert not (await service.sign_in(new)).is_new
    assert (await service.sign_in_again(here)).is_new


async def test_a_taken_phone_keeps_the_challenge_valid(service: Service) -> None:
    """Refusals are not charged, and the challenge works once the phone is free."""
    person, holder = await service.sign_in(), await service.sign_in()
    sent = await phone_code(person, holder.phone)
    for _ in range(4):
        refused(await confirm(person, sent), 409, "phone_taken")
    assert (await person.profile())["phone"] == person.phone
    await delete_account(holder)
    assert ok(await confirm(person, sent))["phone"] == holder.phone


async def test_change_of_phone_does_not_reveal_known_phones(service: Service) -> None:
    person, holder = await service.sign_in(), await service.sign_in()
    service.clock.move(seconds=3)
    responses = [await phone_code(person, phone) for phone in (holder.phone, new_phone())]
    assert responses[0].keys() == responses[1].keys()
    assert len(responses[0]["token"]) == len(responses[1]["token"])


async def test_a_change_of_phone_is_bound_to_its_user(service: Service) -> None:
    person, thief = await service.sign_in(), await service.sign_in()
    sent = await phone_code(person, new_phone())
    for _ in range(4):
        refused(await confirm(thief, sent), 400, "challenge_invalid")
    ok(await confirm(person, sent))


async def test_a_challenge_works_only_for_its_purpose(service: Service) -> None:
    """A sign-in's does not change a phone, and the other way round."""
    person = await service.sign_in()
    phone = new_phone()
    signing_in = await service.send_code(phone)
    service.clock.move(seconds=3)
    changing = await phone_code(person, phone)
    refused(await confirm(person, signing_in), 400, "challenge_invalid")
    refused(await service.verify(changing), 400, "challenge_invalid")
    ok(await confirm(person, changing))
    assert (await service.verify(signing_in)).status_code == 200


async def test_guesses_at_a_change_of_phone_are_limited(service: Service) -> None:
    person = await service.sign_in()
    sent = await phone_code(person, new_phone())
    wrong = with_wrong_code(sent)
    for left in (2, 1, 0):
        assert refused(await confirm(person, wrong), 400, "wrong_code")["attempts_left"] == left
    refused(await confirm(person, sent), 429, "too_many_attempts")
    assert (await person.profile())["phone"] == person.phone


async def test_a_change_of_phone_expires_and_works_once(service: Service) -> None:
    person = await service.sign_in()
    sent = await phone_code(person, new_phone())
    service.clock.move(seconds=121)
    refused(await confirm(person, sent), 400, "challenge_expired")
    sent = await phone_code(person, new_phone())
    ok(await confirm(person, sent))
    refused(await confirm(person, sent), 400, "challenge_spent")


async def test_a_change_to_the_same_phone_changes_nothing(service: Service) -> None:
    """No message is sent, and the inviter still sees the phone."""
    inviter = await service.sign_in()
    person = await invited(service, inviter)
    other = await service.sign_in_again(person)
    service.clock.move(seconds=3)
    sent = await phone_code(person, person.phone)
    before = len(service.inbox.messages)
    assert ok(await confirm(person, sent))["phone"] == person.phone
    assert len(service.inbox.messages) == before
    assert (await inviter.profile())["invitees"] == [person.phone]
    ok(await other.call("GET", "/profile"))


async def test_parallel_changes_to_one_phone_give_it_to_one(service: Service) -> None:
    phone = new_phone()
    people = [await service.sign_in() for _ in range(8)]
    sent = []
    for person in people:
        service.clock.move(seconds=3)
        sent.append(await phone_code(person, phone))
    responses = await asyncio.gather(*map(confirm, people, sent))
    assert sorted(each.status_code for each in responses) == [200] + [409] * 7
    phones = [(await person.profile())["phone"] for person in people]
    assert phones.count(phone) == 1


async def test_an_invitees_new_phone_is_hidden_but_counted(
    service: Service,
) -> None:
    """Moving back to the old phone does not show it again; the link stays."""
    inviter = await service.sign_in()
    first = await invited(service, inviter)
    second = await invited(service, inviter)
    first = await moved(service, first)
    for _ in range(2):
        profile = await inviter.profile()
        assert (profile["invitees"], profile["invitee_count"]) == ([second.phone], 2)
        page = ok(await inviter.call("GET", "/profile/invitees"))
        assert [item["phone"] for item in page["items"]] == [second.phone, None]
        first = await moved(service, first)
    assert (await first.profile())["activated_invite_code"] == profile["invite_code"]


async def test_a_phone_changed_before_activation_is_shown(service: Service) -> None:
    inviter, person = await service.sign_in(), await service.sign_in()
    person = await moved(service, person)
    ok(await person.activate(await inviter.invite_code()))
    assert (await inviter.profile())["invitees"] == [person.phone]


# A phone that left its account cannot activate an invite code for a year


@pytest.mark.parametrize("leave", ["by deletion", "by another phone"])
async def test_a_phone_that_left_cannot_activate_for_365_days(service: Service, leave: str) -> None:
    inviter, other = await service.sign_in(), await service.sign_in()
    code = await other.invite_code()
    person = await invited(service, inviter)
    await (delete_account(person) if leave == "by deletion" else moved(service, person))
    again = await service.sign_in_again(person)
    assert again.is_new
    refused(await again.activate(code), 409, "invite_already_activated")
    service.clock.move(days=364, hours=23)
    sent = await service.send_code(person.phone)
    refused(await service.verify(sent, invite_code=code), 409, "invite_already_activated")
    service.clock.move(hours=2)
    again = await service.sign_in_again(person)
    assert ok(await again.activate(code))["activated_invite_code"] == code


@pytest.mark.parametrize("leave", ["by deletion", "by another phone"])
async def test_signing_up_again_makes_no_new_invitee(service: Service, leave: str) -> None:
    """Even if the phone had activated nothing. Signing up without an invite code works."""
    inviter, person = await service.sign_in(), await service.sign_in()
    code = await inviter.invite_code()
    await (delete_account(person) if leave == "by deletion" else moved(service, person))
    service.clock.move(seconds=3)
    sent = await service.send_code(person.phone)
    body = refused(await service.verify(sent, invite_code=code), 409, "invite_already_activated")
    assert "in the last year" in body["detail"]
    assert ok(await service.verify(sent))["profile"]["activated_invite_code"] is None
    assert (await inviter.profile())["invitee_count"] == 0


async def test_the_365_days_start_when_the_phone_last_left(service: Service) -> None:
    """The phone leaves, comes back to its user, and leaves again."""
    inviter, other = await service.sign_in(), await service.sign_in()
    code = await other.invite_code()
    person = await invited(service, inviter)
    away = await moved(service, person)
    back = await moved(service, away, person.phone)
    service.clock.move(days=364)
    back = await service.sign_in_again(back)
    await delete_account(back)
    service.clock.move(days=2)
    again = await service.sign_in_again(person)
    assert again.is_new
    refused(await again.activate(code), 409, "invite_already_activated")


async def test_only_a_digest_of_a_deleted_users_phone_is_kept(service: Service) -> None:
    """The digest is keyed."""
    person = await invited(service, await service.sign_in())
    await delete_account(person)
    (row,) = await database.query("SELECT * FROM past_activations")
    assert person.phone.removeprefix("+") not in str(list(row.values()))
