"""Users, as administrators see, block and delete them, and voided activations."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts import change_phone, patch_user, user_seen_by
from referral.core import cursor as cursors
from referral.core.cursor import Cursor
from referral.storage import database, users
from support import Person, Service, new_phone, ok, refused, running

OPERATIONS = (
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("GET", "/invitees"),
    ("DELETE", "/inviter"),
)


async def listed(admin: Person, **query: Any) -> list[str]:
    """Return the phones of a list of users."""
    response = ok(await admin.call("GET", "/users", params=query))
    return [user["phone"] for user in response["items"]]


# Users


async def test_the_fields_of_a_user(service: Service) -> None:
    admin = await service.sign_in_admin()
    inviter = await service.sign_in()
    person = await service.sign_in(invite_code=await inviter.invite_code())
    ok(await person.call("PUT", "/profile", json={"name": "Zoë", "email": "zoe@example.com"}))
    user = await user_seen_by(admin, person)
    profile = await person.profile()
    assert user == {
        "id": person.id(),
        **{
            name: profile[name]
            for name in ("phone", "name", "email", "invite_code", "activated_invite_code")
        },
        "invitee_count": 0,
        "is_admin": False,
        "is_blocked": False,
        "created_at": profile["created_at"],
        "last_sign_in_at": user["last_sign_in_at"],
    }
    assert user["last_sign_in_at"] >= user["created_at"]
    assert user["created_at"].endswith("Z")
    assert (await user_seen_by(admin, inviter))["invitee_count"] == 1
    assert (await user_seen_by(admin, admin))["is_admin"]
    service.clock.move(minutes=5)
    await service.sign_in(person.phone)
    assert (await user_seen_by(admin, person))["last_sign_in_at"] > user["last_sign_in_at"]


async def test_the_list_shows_users_as_the_single_view_does(service: Service) -> None:
    """Alike on both databases; the cursor is that of the page's last row."""
    admin, inviter = await service.sign_in_admin(), await service.sign_in()
    person = await service.sign_in(invite_code=await inviter.invite_code())
    ok(await person.call("PUT", "/profile", json={"name": "null", "email": "null@example.com"}))
    ok(await admin.call("PATCH", f"/users/{person.id()}", json={"is_blocked": True}))
    await users.set_fields(UUID(inviter.id()), created_at=datetime(2026, 1, 1, tzinfo=UTC))
    page = ok(await admin.call("GET", "/users", params={"limit": 2}))
    assert page["items"] == [await user_seen_by(admin, each) for each in (person, admin)]
    assert [user["is_blocked"] for user in page["items"]] == [True, False]
    assert [user["is_admin"] for user in page["items"]] == [False, True]
    assert page["items"][0]["name"] == "null"
    last = page["items"][-1]
    place = Cursor(datetime.fromisoformat(last["created_at"]), UUID(last["id"]))
    assert cursors.parse(page["next_cursor"]) == place
    rest = ok(await admin.call("GET", "/users", params={"cursor": page["next_cursor"]}))
    assert rest == {"items": [await user_seen_by(admin, inviter)], "next_cursor": None}
    assert rest["items"][0]["created_at"] == "2026-01-01T00:00:00Z"


async def test_pages_list_each_user_once_while_others_sign_up(service: Service) -> None:
    admin = await service.sign_in_admin()
    people = [admin, *[await service.sign_in() for _ in range(6)]]
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = ok(await admin.call("GET", "/users", params=query))
        assert len(page["items"]) <= 2
        seen += [user["phone"] for user in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
        await service.sign_in()
    assert seen == [person.phone for person in reversed(people)]


async def test_users_with_equal_times_are_listed_once(service: Service) -> None:
    """As after an import."""
    admin = await service.sign_in_admin()
    people = [await service.sign_in() for _ in range(5)]
    await database.query("UPDATE users SET created_at = $1", datetime(2026, 1, 1, tzinfo=UTC))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(6):
        page = ok(await admin.call("GET", "/users", params={"limit": 1, **cursor}))
        seen += [user["phone"] for user in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert page["next_cursor"] is None
    assert sorted(seen) == sorted(person.phone for person in [admin, *people])


@pytest.mark.parametrize("path", ["/users", "/audit", "/users/{id}/invitees"])
async def test_invalid_limits_and_cursors(service: Service, path: str) -> None:
    admin = await service.sign_in_admin()
    path = path.format(id=admin.id())
    for query in ("limit=0", "limit=1001", "limit=x", "limit=-1", "cursor=x", "cursor=", "limit="):
        field = query.partition("=")[0]
        errors = refused(await admin.call("GET", f"{path}?{query}"), 400, "invalid_request")
        assert [error["field"] for error in errors["errors"]] == [field], query
    assert (await admin.call("GET", f"{path}?limit=1000")).is_success


async def test_deleted_users_are_not_found(service: Service) -> None:
    admin, gone = await service.sign_in_admin(), await service.sign_in()
    gone_id = gone.id()
    ok(await gone.call("DELETE", "/profile"))
    assert await listed(admin) == [admin.phone]
    for user_id in (gone_id, uuid4(), "x", "%00", "0" * 3000):
        for method, path in OPERATIONS:
            url = f"/users/{user_id}{path}"
            response = await admin.call(method, url, json={"is_blocked": True})
            refused(response, 404, "not_found")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("+7 (912) 345-67-89", ["anna"]),
        ("+79123456789", ["anna"]),
        ("9123456789", ["anna"]),
        ("912 345", ["anna"]),
        ("+7912", ["anna"]),
        ("7123456789", []),
        ("+912", []),
        ("ЁЛКИНА", ["anna"]),
        ("ёлкин", ["anna"]),
        ("Анна Ё", ["anna"]),
        ("анна_", []),
        ("анна%", []),
        ("%", ["percent"]),
        ("_", ["percent"]),
        ("100%_*?[a-z]^\\(.|", ["percent"]),
        ("*", ["percent"]),
        ("?", ["percent"]),
        ("[a", ["percent"]),
        ("a-z]", ["percent"]),
        ("]", ["percent"]),
        ("^", ["percent"]),
        ("\\", ["percent"]),
        (".", ["percent", "anna"]),
        ("B-C", []),
        ("ANNA@", ["anna"]),
        ("example.COM", ["anna"]),
        ("@exämple.COM", []),
        ("anna exampl", ["anna"]),
        ("ёлкина АННА", ["anna"]),
        ("example ёлк +7912", ["anna"]),
        ("Ёлкина Борис", []),
        ("00 7 912 345-67-89", ["anna"]),
        ("8 (912) 345-67-89", ["anna"]),
        ("\u202a+7\xa0912\u2011345\u202c", ["anna"]),
        ("\uff0b\uff17\uff19\uff11\uff12", ["anna"]),
        ("café", ["cafe"]),
        ("CAFE\u0301", ["cafe"]),
        ("straße", ["cafe"]),
        ("STRASSE", []),
        ("   ёлкина ", ["anna"]),
        ("'; DROP TABLE users; --", []),
        ("zzz", []),
    ],
)
async def test_search(service: Service, search: str, found: list[str]) -> None:
    """Alike on both databases: any alphabet, any case; special characters are literal."""
    admin = await service.sign_in_admin()
    people = {
        "anna": ("+79123456789", {"name": "Анна Ёлкина", "email": "anna@example.com"}),
        "percent": (new_phone(), {"name": "100%_*?[a-z]^\\(.|"}),
        "cafe": (new_phone(), {"name": "Café Straße"}),
    }
    for phone, fields in people.values():
        person = await service.sign_in(phone)
        ok(await person.call("PUT", "/profile", json=fields))
    expected = [people[name][0] for name in found]
    assert sorted(await listed(admin, search=search)) == sorted(expected)


async def test_search_by_invite_code(service: Service) -> None:
    """Look-alike letters are accepted as everywhere."""
    admin, person = await service.sign_in_admin(), await service.sign_in()
    await users.set_fields(UUID(person.id()), invite_code="0V1KQM")
    for encoded in ("0V1KQM", "ouikqm", " Ou-Lkqm "):
        assert await listed(admin, search=encoded) == [person.phone]
    assert await listed(admin, search="0V1KQ") == []


async def test_search_by_id_and_by_a_pasted_link(service: Service) -> None:
    admin, person = await service.sign_in_admin(), await service.sign_in()
    link = ok(await person.call("GET", "/profile"))["invite_link"]
    for encoded in (person.id(), person.id().upper(), link, f"Join us: {link}."):
        assert await listed(admin, search=encoded) == [person.phone]
    for encoded in (str(uuid4()), link[:-6] + "ZZZZZZ"):
        assert await listed(admin, search=encoded) == []


async def test_search_by_a_phone_stored_in_another_spelling(service: Service) -> None:
    admin, stray = await service.sign_in_admin(), await service.sign_in()
    own = await service.sign_in("+4915123456789")
    await users.set_fields(UUID(stray.id()), phone="+49015123456789")
    assert sorted(await listed(admin, search="+49015123456789")) == ["+49015123456789", own.phone]
    assert await listed(admin, search=own.phone) == [own.phone]


async def test_search_by_a_national_phone_number(database_url: str) -> None:
    async with running(database_url, REFERRAL_DEFAULT_REGION="RU") as service:
        admin, person = await service.sign_in_admin(), await service.sign_in("+79123456789")
        assert await listed(admin, search="8 (912) 345-67-89") == [person.phone]


async def test_a_blank_search_matches_everybody(service: Service) -> None:
    admin = await service.sign_in_admin()
    for encoded in ("", "  "):
        assert await listed(admin, search=encoded) == [admin.phone]


async def test_invalid_searches(service: Service) -> None:
    admin = await service.sign_in_admin()
    for encoded in ("x" * 255, "a\0b", "a\nb"):
        response = await admin.call("GET", "/users", params={"search": encoded})
        errors = refused(response, 400, "invalid_request")["errors"]
        assert [error["field"] for error in errors] == ["search"]


async def test_a_search_is_paginated(service: Service) -> None:
    admin = await service.sign_in_admin()
    people = [await service.sign_in() for _ in range(3)]
    for person in people:
        ok(await person.call("PUT", "/profile", json={"name": "Иван"}))
        await service.sign_in()
    seen: list[str] = []
    query: dict[str, Any] = {"search": "ИВАН", "limit": 2}
    for _ in range(2):
        page = ok(await admin.call("GET", "/users", params=query))
        seen += [user["phone"] for user in page["items"]]
        query["cursor"] = page["next_cursor"]
    assert query["cursor"] is None
    assert seen == [person.phone for person in reversed(people)]


async def test_invitees_of_a_user(service: Service) -> None:
    """With their current phones, also one hidden from the inviter."""
    admin, inviter = await service.sign_in_admin(), await service.sign_in()
    code = await inviter.invite_code()
    people = [await service.sign_in(invite_code=code) for _ in range(3)]
    moved = new_phone()
    await change_phone(people[0], moved)
    ok(await people[1].call("PATCH", "/profile", json={"name": "Boris"}))
    path = f"/users/{inviter.id()}/invitees"
    first = ok(await admin.call("GET", f"{path}?limit=2"))
    rest = ok(await admin.call("GET", f"{path}?cursor={first['next_cursor']}"))
    assert rest["next_cursor"] is None
    shown = [
        (item["id"], item["phone"], item["name"]) for item in [*first["items"], *rest["items"]]
    ]
    assert shown == [
        (people[2].id(), people[2].phone, None),
        (people[1].id(), people[1].phone, "Boris"),
        (people[0].id(), moved, None),
    ]
    assert all(item["activated_at"].endswith("Z") for item in first["items"])


# Blocking


async def test_blocking_ends_every_session_for_good(service: Service) -> None:
    admin, person = await service.sign_in_admin(), await service.sign_in()
    phone_two = await service.sign_in_again(person)
    assert ok(await patch_user(admin, person, is_blocked=True))["is_blocked"]
    for session in (person, phone_two):
        refused(await session.call("GET", "/profile"), 401, "unauthorized")
        refused(await session.refresh(), 401, "invalid_refresh_token")
    service.clock.move(seconds=3)
    refused(await service.verify(await service.send_code(person.phone)), 403, "account_blocked")
    assert not ok(await patch_user(admin, person, is_blocked=False))["is_blocked"]
    refused(await person.refresh(), 401, "invalid_refresh_token")
    assert not (await service.sign_in_again(person)).is_new


async def test_a_change_needs_a_field_and_refuses_null(service: Service) -> None:
    admin, person = await service.sign_in_admin(), await service.sign_in()
    refused(await patch_user(admin, person), 400, "invalid_request")
    errors = refused(await patch_user(admin, person, is_admin=None), 400, "invalid_request")[
        "errors"
    ]
    assert [error["field"] for error in errors] == ["is_admin"]
    refused(await patch_user(admin, person, is_admin=True, phone="x"), 400, "invalid_request")
    assert not (await user_seen_by(admin, person))["is_admin"]


async def test_no_sign_in_races_past_a_block(service: Service) -> None:
    """No session of a blocked user is left."""
    admin = await service.sign_in_admin()
    for _ in range(10):
        person = await service.sign_in()
        service.clock.move(seconds=3)
        sent = await service.send_code(person.phone)
        signing_in, blocking = await asyncio.gather(
            service.verify(sent), patch_user(admin, person, is_blocked=True)
        )
        ok(blocking)
        ok(await patch_user(admin, person, is_blocked=False))
        if signing_in.is_success:
            late = Person(service.http, person.phone, signing_in.json(), is_new=False)
            refused(await late.call("GET", "/profile"), 401, "unauthorized")
        else:
            refused(signing_in, 403, "account_blocked")


# Deleting


async def test_deleting_a_user_equals_their_own_deletion(service: Service) -> None:
    admin, inviter = await service.sign_in_admin(), await service.sign_in()
    code = await inviter.invite_code()
    person = await service.sign_in(invite_code=code)
    own_code = await person.invite_code()
    invitee = await service.sign_in(invite_code=own_code)
    assert (await admin.call("DELETE", f"/users/{person.id()}")).status_code == 204
    refused(await person.call("GET", "/profile"), 401, "unauthorized")
    assert (await inviter.profile())["invitee_count"] == 0
    assert (await invitee.profile())["activated_invite_code"] == own_code
    refused(await service.get(f"/api/v1/invitations/{own_code}"), 404, "unknown_invite_code")
    again = await service.sign_in_again(person)
    assert again.is_new
    refused(await again.activate(code), 409, "invite_already_activated")
    refused(await admin.call("DELETE", f"/users/{person.id()}"), 404, "not_found")


# Voiding an activation


async def test_a_voided_activation_is_undone_completely(service: Service) -> None:
    admin, inviter, other = [
        await service.sign_in_admin(),
        *[await service.sign_in() for _ in range(2)],
    ]
    code = await inviter.invite_code()
    person = await service.sign_in(invite_code=code)
    assert (await admin.call("DELETE", f"/users/{person.id()}/inviter")).status_code == 204
    assert (await person.profile())["activated_invite_code"] is None
    profile = await inviter.profile()
    assert (profile["invitees"], profile["invitee_count"]) == ([], 0)
    refused(await admin.call("DELETE", f"/users/{person.id()}/inviter"), 404, "not_found")
    ok(await person.activate(await other.invite_code()))
    assert (await other.profile())["invitees"] == [person.phone]


async def test_a_deleted_users_activation_can_be_voided_once(service: Service) -> None:
    """The deletion has already reduced the count, and the user stays deleted."""
    admin, inviter = await service.sign_in_admin(), await service.sign_in()
    code = await inviter.invite_code()
    person, other = [await service.sign_in(invite_code=code) for _ in range(2)]
    ok(await admin.call("DELETE", f"/users/{person.id()}"))
    assert (await admin.call("DELETE", f"/users/{person.id()}/inviter")).status_code == 204
    refused(await admin.call("DELETE", f"/users/{person.id()}/inviter"), 404, "not_found")
    profile = await inviter.profile()
    assert (profile["invitees"], profile["invitee_count"]) == ([other.phone], 1)
    refused(await admin.call("GET", f"/users/{person.id()}"), 404, "not_found")


async def test_a_blocked_users_activation_can_be_voided(service: Service) -> None:
    admin, inviter = await service.sign_in_admin(), await service.sign_in()
    person = await service.sign_in(invite_code=await inviter.invite_code())
    ok(await patch_user(admin, person, is_blocked=True))
    ok(await admin.call("DELETE", f"/users/{person.id()}/inviter"))
    assert (await inviter.profile())["invitee_count"] == 0


async def test_a_void_forgets_that_the_phone_left_once(service: Service) -> None:
    """The phone left the account and came back, so a digest of it is stored."""
    admin, inviter = await service.sign_in_admin(), await service.sign_in()
    code = await inviter.invite_code()
    person = await service.sign_in(invite_code=code)
    for phone in (new_phone(), person.phone):
        service.clock.move(seconds=3)
        await change_phone(person, phone)
    ok(await admin.call("DELETE", f"/users/{person.id()}/inviter"))
    ok(await person.activate(code))
    assert (await inviter.profile())["invitees"] == [person.phone]


async def test_no_loop_after_a_voided_activation(
    service: Service,
) -> None:
    admin = await service.sign_in_admin()
    top = await service.sign_in()
    middle = await service.sign_in(invite_code=await top.invite_code())
    low = await service.sign_in(invite_code=await middle.invite_code())
    ok(await admin.call("DELETE", f"/users/{middle.id()}/inviter"))
    refused(await middle.activate(await low.invite_code()), 409, "invite_loop")
    ok(await top.activate(await low.invite_code()))
    refused(await middle.activate(await top.invite_code()), 409, "invite_loop")


async def test_voids_and_activations_race_consistently(
    service: Service,
) -> None:
    admin = await service.sign_in_admin()
    people = [await service.sign_in() for _ in range(5)]
    codes = [await person.invite_code() for person in people]
    calls = []
    for turn in range(4):
        for place, person in enumerate(people):
            calls.append(person.activate(codes[(place + 1 + turn) % len(people)]))
            calls.append(admin.call("DELETE", f"/users/{person.id()}/inviter"))
    for start in range(0, len(calls), 10):
        responses = await asyncio.gather(*calls[start : start + 10])
        assert {response.status_code for response in responses} <= {200, 204, 404, 409}
    by_code: dict[str, str | None] = {}
    counts = {}
    for person in people:
        user = await user_seen_by(admin, person)
        by_code[user["invite_code"]] = user["activated_invite_code"]
        counts[user["invite_code"]] = user["invitee_count"]
    inviters = list(by_code.values())
    assert counts == {code: inviters.count(code) for code in codes}
    for code in codes:
        chain = [code]
        while (above := by_code[chain[-1]]) is not None:
            assert above not in chain
            chain.append(above)


async def test_parallel_voids_count_once(service: Service) -> None:
    admin, inviter = await service.sign_in_admin(), await service.sign_in()
    person = await service.sign_in(invite_code=await inviter.invite_code())
    responses = await asyncio.gather(
        *(admin.call("DELETE", f"/users/{person.id()}/inviter") for _ in range(5))
    )
    assert sorted(response.status_code for response in responses) == [204, 404, 404, 404, 404]
    assert (await inviter.profile())["invitee_count"] == 0
