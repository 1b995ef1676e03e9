"""Features of the five systems that this service replaces, used as their clients used them.

Each section is about one system, or two. They differ in the order of steps and in what they need;
here all of them use the same API.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode

import httpx

from sites import plain
from support import Service, new_phone, ok, refused, with_wrong_code, wrong_code

# Sign-in by code, and a profile with invitations


async def test_the_right_code_creates_the_user(service: Service) -> None:
    phone = new_phone()
    sent = await service.send_code(phone)
    wrong = with_wrong_code(sent)
    refused(await service.verify(wrong), 400, "wrong_code")
    first = await service.verify(sent)
    assert first.status_code == 201
    profile = first.json()["profile"]
    assert profile["phone"] == phone
    assert profile["invite_link"].endswith(profile["invite_code"])
    service.clock.move(seconds=3)
    assert (await service.verify(await service.send_code(phone))).status_code == 200


async def test_the_code_has_four_digits(service: Service) -> None:
    sent = await service.send_code(new_phone())
    assert (len(sent["code"]), sent["code"].isdecimal()) == (4, True)


async def test_only_the_first_existing_code_is_activated(
    service: Service,
) -> None:
    inviter, other, person = [await service.sign_in() for _ in range(3)]
    refused(await person.activate("000000"), 404, "unknown_invite_code")
    assert (await person.profile())["activated_invite_code"] is None
    code = await inviter.invite_code()
    assert ok(await person.activate(code))["activated_invite_code"] == code
    refused(await person.activate(await other.invite_code()), 409, "invite_already_activated")
    assert (await person.profile())["activated_invite_code"] == code


async def test_the_profile_lists_invitees(service: Service) -> None:
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    phones = []
    for _ in range(3):
        person = await service.sign_in()
        ok(await person.activate(code))
        phones.append(person.phone)
    assert sorted((await inviter.profile())["invitees"]) == sorted(phones)


async def test_administrators_list_all_users(service: Service) -> None:
    admin = await service.sign_in_admin()
    people = [admin, *[await service.sign_in() for _ in range(3)]]
    users = ok(await admin.call("GET", "/users"))["items"]
    assert {user["phone"]: user["invite_code"] for user in users} == {
        person.phone: await person.invite_code() for person in people
    }
    refused(await people[1].call("GET", "/users"), 403, "forbidden")


# A code valid for two minutes, two tokens, distinct errors


async def test_the_code_expires_after_two_minutes(service: Service) -> None:
    sent = await service.send_code(new_phone())
    assert sent["expires_in"] == 120
    service.clock.move(seconds=121)
    refused(await service.verify(sent), 400, "challenge_expired")


async def test_access_and_refresh_tokens(service: Service) -> None:
    """Once the access token has expired, the refresh token gets the next one."""
    person = await service.sign_in()
    service.clock.move(seconds=person.tokens["expires_in"] + 1)
    refused(await person.call("GET", "/profile"), 401, "unauthorized")
    person.tokens = ok(await person.refresh())
    assert (await person.profile())["phone"] == person.phone
    assert (
        await service.post("/auth/logout", refresh_token=person.tokens["refresh_token"])
    ).status_code == 204
    refused(await person.refresh(), 401, "invalid_refresh_token")


async def test_unknown_code_and_second_inviter_differ(service: Service) -> None:
    """By a stable code for programs and by the text for people."""
    inviter, other, person = [await service.sign_in() for _ in range(3)]
    unknown = refused(await person.activate("ZZZZZZ"), 404, "unknown_invite_code")
    ok(await person.activate(await inviter.invite_code()))
    again = await person.activate(await other.invite_code())
    already = refused(again, 409, "invite_already_activated")
    assert "no such invite code" in unknown["detail"]
    assert "already" in already["detail"]


async def test_the_profile_has_invitees(service: Service) -> None:
    inviter = await service.sign_in()
    invitee = await service.sign_in(invite_code=await inviter.invite_code())
    profile = await inviter.profile()
    assert (profile["invitees"], profile["invitee_count"]) == ([invitee.phone], 1)


# The invite code comes with the sign-in


async def test_sign_in_with_an_invite_code(service: Service) -> None:
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    response = await service.verify(await service.send_code(new_phone()), invite_code=code)
    assert response.status_code == 201
    assert response.json()["profile"]["activated_invite_code"] == code


async def test_sign_in_without_an_invite_code(service: Service) -> None:
    """Without it, or with null, the user has no inviter and may activate a code later."""
    inviter = await service.sign_in()
    for without in ({}, {"invite_code": None}):
        sent = await service.send_code(new_phone())
        body = {"token": sent["token"], "code": sent["code"], **without}
        response = await service.post("/auth/verify", **body)
        assert response.status_code == 201
        assert response.json()["profile"]["activated_invite_code"] is None
    person = await service.sign_in()
    ok(await person.activate(await inviter.invite_code()))


async def test_sign_in_continues_without_a_wrong_invite_code(
    service: Service,
) -> None:
    sent = await service.send_code(new_phone())
    refused(await service.verify(sent, invite_code="ZZZZZZ"), 404, "unknown_invite_code")
    assert (await service.verify(sent)).status_code == 201


# No table of codes: an encrypted challenge, then a signed token


async def test_the_challenge_is_a_jwe_and_the_access_token_a_jwt(service: Service) -> None:
    sent = await service.send_code(new_phone())
    tokens = ok(await service.verify(sent))
    jwe, jwt = sent["token"].split("."), tokens["access_token"].split(".")
    encrypted, signed = (json.loads(urlsafe_b64decode(each[0] + "==")) for each in (jwe, jwt))
    assert (len(jwe), encrypted["alg"], encrypted["enc"]) == (5, "dir", "A256GCM")
    assert (len(jwt), signed["alg"], signed["typ"]) == (3, "ES256", "at+jwt")
    assert tokens["token_type"] == "Bearer"


async def test_profile_operations(service: Service) -> None:
    person = await service.sign_in()
    assert (await person.profile())["name"] is None
    given = {"name": "Anna", "email": "anna@example.com"}
    replaced = ok(await person.call("PUT", "/profile", json=given))
    changed = ok(await person.call("PATCH", "/profile", json={"name": "Ann"}))
    assert changed == {**replaced, "name": "Ann"} == await person.profile()
    assert changed["email"] == "anna@example.com"
    assert (await person.call("DELETE", "/profile")).status_code == 204
    refused(await person.call("GET", "/profile"), 401, "unauthorized")


async def test_the_activation_endpoint(service: Service) -> None:
    inviter, person = await service.sign_in(), await service.sign_in()
    code = await inviter.invite_code()
    refused(await person.activate(await person.invite_code()), 409, "own_invite_code")
    assert ok(await person.activate(code))["activated_invite_code"] == code
    refused(await inviter.activate(await person.invite_code()), 409, "invite_loop")


# Two systems with pages: sign-in page, code page, profile page


async def test_client_without_scripts_uses_the_pages(service: Service) -> None:
    """The client submits the forms found on the pages, keeps cookies and follows redirects, as the
    earlier systems' own tests did.
    """
    inviter = await service.sign_in()
    code, phone = await inviter.invite_code(), new_phone()
    async with plain("http://127.0.0.1:8000", service) as client:
        page = await client.get("/me")
        assert page.url.path == "/"
        page = await client.post(action(page), data={"phone": phone})
        assert (page.status_code, page.url.path) == (200, "/code")
        shown = re.search(r'id="simulated-code">(\d{4})<', page.text)
        pending = re.search(r'name="pending" value="([^"]+)"', page.text)
        assert shown is not None
        assert pending is not None
        wrong = wrong_code(shown[1])
        page = await client.post(action(page), data={"code": wrong, "pending": pending[1]})
        assert (page.status_code, page.url.path) == (200, "/code")
        assert 'aria-invalid="true"' in page.text
        page = await client.post(action(page), data={"code": shown[1], "pending": pending[1]})
        assert (page.status_code, page.url.path) == (200, "/me")
        assert (await inviter.profile())["invitees"] == []
        page = await client.post("/me/inviter", data={"invite_code": code})
        assert page.url.path == "/me"
        assert "You joined" in page.text
        assert (await inviter.profile())["invitees"] == [phone]
        page = await client.post("/sign-out")
        assert page.url.path == "/"
        assert (await client.get("/me")).url.path == "/"


def action(page: httpx.Response) -> str:
    """Return the action of the form in the page's content."""
    main = page.text.partition("<main")[2]
    found = re.search(r'<form method="post" action="([^"]+)"', main)
    assert found is not None, main
    return found[1]
