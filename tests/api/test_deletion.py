"""Deleting an account: what goes, what stays, and races."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import httpx
import pytest

from accounts import confirm, delete_account, invited, phone_code
from referral.storage import database
from support import Service, new_phone, ok, refused

# Deleting


async def test_deletion_frees_the_phone_for_a_new_user(service: Service) -> None:
    person = await service.sign_in()
    ok(await person.call("PUT", "/profile", json={"name": "Anna", "email": "anna@example.com"}))
    other = await service.sign_in_again(person)
    await delete_account(person)
    for each in (person, other):
        refused(await each.call("GET", "/profile"), 401, "unauthorized")
        refused(await each.refresh(), 401, "invalid_refresh_token")
    rows = await database.query("SELECT * FROM users")
    stored = str([list(row.values()) for row in rows])
    assert not [secret for secret in (person.phone, "Anna", "anna@example.com") if secret in stored]
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
    await delete_account(inviter)
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
    await delete_account(first)
    profile = await inviter.profile()
    assert (profile["invitees"], profile["invitee_count"]) == ([second.phone], 1)
    page = ok(await inviter.call("GET", "/profile/invitees"))
    assert [item["phone"] for item in page["items"]] == [second.phone]


async def test_a_loop_through_a_deleted_user_is_refused(service: Service) -> None:
    """The links of a deleted user still count."""
    top = await service.sign_in()
    middle = await invited(service, top)
    low = await invited(service, middle)
    await delete_account(middle)
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
