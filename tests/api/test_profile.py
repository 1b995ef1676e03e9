"""The profile: reading, changing, deleting, and moving to another phone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from referral.storage import database
from support import Person, Service, new_phone, ok, refused

MERGE_PATCH = {"content-type": "application/merge-patch+json"}


async def phone_code(person: Person, phone: str) -> dict[str, Any]:
    return ok(await person.call("POST", "/profile/phone/send-code", json={"phone": phone}))


async def confirm(person: Person, sent: dict[str, Any]) -> httpx.Response:
    body = {"token": sent["token"], "code": sent["code"]}
    return await person.call("PUT", "/profile/phone", json=body)


async def moved(service: Service, person: Person, phone: str | None = None) -> Person:
    """Move a person to another phone; return them with it."""
    service.clock.move(seconds=3)
    profile = ok(await confirm(person, await phone_code(person, phone or new_phone())))
    return Person(person.http, profile["phone"], person.tokens, is_new=False)


async def deleted(person: Person) -> None:
    response = await person.call("DELETE", "/profile")
    assert (response.status_code, response.content) == (204, b"")


async def invited(service: Service, inviter: Person) -> Person:
    return await service.sign_in(invite_code=await inviter.invite_code())


# Reading and changing


async def test_a_new_profile(service: Service) -> None:
    person = await service.sign_in()
    response = await person.call("GET", "/profile")
    assert response.headers["cache-control"] == "no-store"
    profile = ok(response)
    code = profile["invite_code"]
    assert len(code) == 6
    assert set(code) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert profile.pop("created_at").endswith("Z")
    assert profile == {
        "id": person.id(),
        "phone": person.phone,
        "name": None,
        "email": None,
        "invite_code": code,
        "invite_link": f"http://127.0.0.1:8000/i/{code}",
        "activated_invite_code": None,
        "invitees": [],
        "invitee_count": 0,
    }


async def test_put_replaces_both_fields(service: Service) -> None:
    """A missing field becomes null."""
    person = await service.sign_in()
    for body, name, email in (
        ({"name": "Anna", "email": "anna@example.com"}, "Anna", "anna@example.com"),
        ({"name": "Anna"}, "Anna", None),
        ({"email": "anna@example.com"}, None, "anna@example.com"),
        ({"name": None, "email": None}, None, None),
        ({"name": "Anna", "email": "anna@example.com"}, "Anna", "anna@example.com"),
        ({}, None, None),
    ):
        profile = ok(await person.call("PUT", "/profile", json=body))
        assert (profile["name"], profile["email"]) == (name, email)
        assert profile == await person.profile()


@pytest.mark.parametrize("headers", [{}, MERGE_PATCH], ids=["json", "merge-patch"])
async def test_patch_changes_only_the_given_fields(
    service: Service, headers: dict[str, str]
) -> None:
    """RFC 7396: a missing field is kept, null clears it."""
    person = await service.sign_in()
    for body, name, email in (
        ('{"name": "Anna"}', "Anna", None),
        ('{"email": "anna@example.com"}', "Anna", "anna@example.com"),
        ("{}", "Anna", "anna@example.com"),
        ('{"name": null}', None, "anna@example.com"),
        ('{"name": "Zo\\u00eb", "email": null}', "Zoë", None),
    ):
        given = {"content-type": "application/json", **headers}
        profile = ok(await person.call("PATCH", "/profile", content=body, headers=given))
        assert (profile["name"], profile["email"]) == (name, email)
        assert profile == await person.profile()


async def test_only_patch_accepts_a_merge_patch(service: Service) -> None:
    person = await service.sign_in()
    response = await person.call("PUT", "/profile", content="{}", headers=MERGE_PATCH)
    refused(response, 415, "unsupported_media_type")


async def test_names_are_stored_trimmed_and_composed(service: Service) -> None:
    """Without surrounding spaces, in Unicode's composed form (NFC)."""
    person = await service.sign_in()
    for given, kept in (
        ("  Anna  ", "Anna"),
        ("Zoe\u0308", "Zoë"),
        ("Ж" * 100, "Ж" * 100),
        ("O'Neil <b>\"&", "O'Neil <b>\"&"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("'; DROP TABLE users; --", "'; DROP TABLE users; --"),
    ):
        assert ok(await person.call("PATCH", "/profile", json={"name": given}))["name"] == kept


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_invalid_names_and_emails(service: Service, method: str) -> None:
    """The response names the field, and nothing is changed."""
    person = await service.sign_in()
    before = ok(await person.call("PUT", "/profile", json={"name": "Eve", "email": "e@eve.org"}))
    given: list[tuple[str, object]] = [
        ("name", ""),
        ("name", "   "),
        ("name", "x" * 101),
        ("name", "a\nb"),
        ("name", "a\x1bb"),
        ("name", 5),
        ("name", ["Anna"]),
        ("email", ""),
        ("email", "anna"),
        ("email", "anna@"),
        ("email", "@example.com"),
        ("email", "anna@example.com\nBcc: x@example.com"),
        ("email", "an na@example.com"),
        ("email", "a" * 64 + "@" + ".".join(["b" * 60] * 4) + ".com"),
        ("email", "Anna <anna@example.com>"),
        ("email", True),
    ]
    for field, value in given:
        response = await person.call(method, "/profile", json={field: value})
        (error,) = refused(response, 400, "invalid_request")["errors"]
        assert error["field"] == field
        assert len(error["message"]) > 5
    assert await person.profile() == before


async def test_other_fields_are_refused(service: Service) -> None:
    person = await service.sign_in()
    before = await person.profile()
    for field in ("phone", "invite_code", "is_admin", "is_blocked", "id", "x"):
        for method in ("PUT", "PATCH"):
            response = await person.call(method, "/profile", json={"name": "Anna", field: "1"})
            refused(response, 400, "invalid_request")
    assert await person.profile() == before


# Deleting


async def test_deletion_frees_the_phone_for_a_new_user(service: Service) -> None:
    person = await service.sign_in()
    ok(await person.call("PUT", "/profile", json={"name": "Anna", "email": "anna@example.com"}))
    other = await service.sign_in_again(person)
    await deleted(person)
    for each in (person, other):
        refused(await each.call("GET", "/profile"), 401, "unauthorized")
        refused(await each.refresh(), 401, "invalid_refresh_token")
    rows = await database.query("SELECT * FROM users")
    told = str([list(row.values()) for row in rows])
    assert not [secret for secret in (person.phone, "Anna", "anna@example.com") if secret in told]
    again = await service.sign_in_again(person)
    assert again.is_new
    profile = await again.profile()
    assert (profile["name"], profile["email"]) == (None, None)
    assert profile["invite_code"] != person.tokens["profile"]["invite_code"]


async def test_a_deleted_users_invite_code_is_retired(service: Service) -> None:
    """It can be neither activated nor looked up; invitees keep it and may repeat it."""
    inviter, stranger = await service.sign_in(), await service.sign_in()
    code = await inviter.invite_code()
    invitee = await invited(service, inviter)
    await deleted(inviter)
    assert (await invitee.profile())["activated_invite_code"] == code
    assert ok(await invitee.activate(code))["activated_invite_code"] == code
    refused(await stranger.activate(code), 404, "unknown_invite_code")
    refused(await service.get(f"/api/v1/invitations/{code}"), 404, "unknown_invite_code")
    again = await service.sign_in_again(inviter)
    assert (await again.profile())["invitee_count"] == 0
    refused(await again.activate(code), 404, "unknown_invite_code")


async def test_a_deleted_invitee_leaves_the_list_and_the_count(service: Service) -> None:
    inviter = await service.sign_in()
    first, second = await invited(service, inviter), await invited(service, inviter)
    await deleted(first)
    profile = await inviter.profile()
    assert (profile["invitees"], profile["invitee_count"]) == ([second.phone], 1)
    page = ok(await inviter.call("GET", "/profile/invitees"))
    assert [item["phone"] for item in page["items"]] == [second.phone]


async def test_a_loop_through_a_deleted_user_is_refused(service: Service) -> None:
    """The links of a deleted user still count."""
    top = await service.sign_in()
    middle = await invited(service, top)
    low = await invited(service, middle)
    await deleted(middle)
    refused(await top.activate(await low.invite_code()), 409, "invite_loop")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/profile", None),
        ("POST", "/profile/phone/send-code", {"phone": "+79991234567"}),
        ("PUT", "/profile/phone", {"token": "x", "code": "1234"}),
    ],
)
async def test_irreversible_operations_need_a_fresh_sign_in(
    service: Service, method: str, path: str, body: dict[str, str] | None
) -> None:
    """Under 15 minutes old, and refreshing does not renew it."""
    person = await service.sign_in()
    service.clock.move(minutes=14, seconds=50)
    person.tokens = ok(await person.refresh())
    service.clock.move(seconds=11)
    refused(await person.call(method, path, json=body), 403, "sign_in_again")
    fresh = await service.sign_in_again(person)
    response = await fresh.call(method, path, json=body)
    assert response.status_code != 403
    assert (await person.call("GET", "/profile")).status_code == (401 if body is None else 200)


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
    await deleted(holder)
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
    wrong = {**sent, "code": f"{(int(sent['code']) + 1) % 10_000:04}"}
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
    await (deleted(person) if leave == "by deletion" else moved(service, person))
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
    await (deleted(person) if leave == "by deletion" else moved(service, person))
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
    await deleted(back)
    service.clock.move(days=2)
    again = await service.sign_in_again(person)
    assert again.is_new
    refused(await again.activate(code), 409, "invite_already_activated")


async def test_only_a_digest_of_a_deleted_users_phone_is_kept(service: Service) -> None:
    """The digest is keyed."""
    person = await invited(service, await service.sign_in())
    await deleted(person)
    (row,) = await database.query("SELECT * FROM past_activations")
    assert person.phone.removeprefix("+") not in str(list(row.values()))


# Races


@pytest.mark.parametrize("rival", ["phone", "inviter", "name", "refresh", "sign-in", "deletion"])
async def test_races_with_a_deletion_leave_nothing_behind(service: Service, rival: str) -> None:
    """Afterwards the account has no phone, name or session, and its inviter no invitee."""
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    for turn in range(25):
        person = await service.sign_in()
        service.clock.move(seconds=3)
        changing = await phone_code(person, new_phone())
        signing_in = await service.send_code(person.phone)
        calls: dict[str, Callable[[], Awaitable[httpx.Response]]] = {
            "phone": partial(confirm, person, changing),
            "inviter": partial(person.activate, code),
            "name": partial(person.call, "PUT", "/profile", json={"name": "Mallory"}),
            "refresh": person.refresh,
            "sign-in": partial(service.verify, signing_in),
            "deletion": partial(person.call, "DELETE", "/profile"),
        }
        both = [calls["deletion"](), calls[rival]()]
        responses = await asyncio.gather(*(both if turn % 2 else reversed(both)))
        assert {response.status_code for response in responses} <= {200, 201, 204, 401}
        refused(await person.call("GET", "/profile"), 401, "unauthorized")
    gone = "FROM users WHERE deleted_at IS NOT NULL"
    rows = await database.query(f"SELECT phone, name {gone}")
    assert [(row["phone"], row["name"]) for row in rows] == [(None, None)] * 25
    left = f"SELECT id FROM sessions WHERE user_id IN (SELECT id {gone})"  # noqa: S608 - no input
    assert await database.query(left) == []
    profile = await inviter.profile()
    assert (profile["invitees"], profile["invitee_count"]) == ([], 0)


# The invite link as a QR code


@pytest.mark.parametrize(
    ("name", "media_type", "start"),
    [
        ("invite.svg", "image/svg+xml", b"<?xml"),
        ("invite.png", "image/png", b"\x89PNG\r\n\x1a\n"),
    ],
)
async def test_the_invite_link_as_a_qr_code(
    service: Service, name: str, media_type: str, start: bytes
) -> None:
    """Each user has their own; it contains no script."""
    pictures = []
    for person in (await service.sign_in(), await service.sign_in()):
        response = await person.call("GET", f"/profile/{name}")
        assert response.status_code == 200
        assert response.headers["content-type"].partition(";")[0] == media_type
        assert response.headers["cache-control"] == "no-store"
        assert response.content.startswith(start)
        assert not [
            word for word in (b"<script", b"javascript:", b" on") if word in response.content
        ]
        pictures.append(response.content)
    assert pictures[0] != pictures[1]
