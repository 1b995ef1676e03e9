"""Administration: access, users, voided activations, API keys."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from referral.core import cursor as cursors
from referral.core.cursor import Cursor
from referral.core.errors import NotFound
from referral.service import admins, api_keys
from referral.storage import database, users
from support import Inbox, Person, Service, context_of, new_phone, ok, refused, running

JANUARY = datetime(2026, 1, 15, tzinfo=UTC)
NOBODY = UUID(int=0)
OPERATIONS = (
    ("GET", "/users"),
    ("GET", f"/users/{NOBODY}"),
    ("PATCH", f"/users/{NOBODY}"),
    ("DELETE", f"/users/{NOBODY}"),
    ("GET", f"/users/{NOBODY}/invitees"),
    ("DELETE", f"/users/{NOBODY}/inviter"),
    ("GET", "/stats"),
    ("GET", "/audit"),
)
OPEN_DEMO = {
    "REFERRAL_ENV": "production",
    "REFERRAL_SMS_URL": "simulated://",
    "REFERRAL_PUBLIC_URL": "https://referral.example.com",
    "REFERRAL_TRUSTED_PROXIES": "0",
}
NO_DEMO = {
    **OPEN_DEMO,
    "REFERRAL_SMS_URL": f"hook+https://team.example/sms?secret=whsec_{'A' * 32}",
}
TEST_PHONE = "+79990000001"
TEST_PHONES = {"REFERRAL_TEST_PHONES": f"{TEST_PHONE}=12345678@2026-01-31"}


def set_clock(service: Service, to: datetime) -> None:
    service.clock.move(seconds=(to - service.clock()).total_seconds())


async def patch(admin: Person, person: Person, **fields: Any) -> httpx.Response:
    return await admin.call("PATCH", f"/users/{person.id()}", json=fields)


async def view(admin: Person, person: Person) -> dict[str, Any]:
    return ok(await admin.call("GET", f"/users/{person.id()}"))


async def listed(admin: Person, **query: Any) -> list[str]:
    """Return the phones of a list of users."""
    response = ok(await admin.call("GET", "/users", params=query))
    return [user["phone"] for user in response["items"]]


# Access


async def test_others_are_refused(service: Service) -> None:
    """Callers without a token and users, before the body or the id is parsed."""
    person = await service.sign_in()
    for method, path in OPERATIONS:
        stranger = await service.http.request(method, f"/api/v1{path}", content=b"{")
        refused(stranger, 401, "unauthorized")
        assert stranger.headers["www-authenticate"] == "Bearer"
        refused(await person.call(method, path, content=b"{"), 403, "forbidden")


@pytest.mark.parametrize("who", ["administrator", "API key"])
async def test_administrators_and_api_keys_are_accepted(service: Service, who: str) -> None:
    admin = await (service.sign_in_admin() if who == "administrator" else service.api_key())
    for method, path in OPERATIONS:
        response = await admin.call(method, path, json={"is_blocked": True})
        assert response.status_code == (404 if str(NOBODY) in path else 200), (method, path)


async def test_an_administrators_access_ends_immediately(service: Service) -> None:
    """When they lose the role or the session, are blocked or deleted."""
    other = await service.sign_in_admin()
    for ending in ("revoke", "sign out", "block", "delete"):
        admin = await service.sign_in_admin()
        assert (await admin.call("GET", "/users")).status_code == 200
        if ending == "revoke":
            ok(await patch(other, admin, is_admin=False))
            refused(await admin.call("GET", "/users"), 403, "forbidden")
            continue
        if ending == "sign out":
            ok(await admin.call("DELETE", "/sessions"))
        elif ending == "block":
            ok(await patch(other, admin, is_blocked=True))
        else:
            ok(await other.call("DELETE", f"/users/{admin.id()}"))
        refused(await admin.call("GET", "/users"), 401, "unauthorized")


async def test_an_api_key_opens_only_administration(service: Service) -> None:
    key = await service.api_key()
    for method, path in (
        ("GET", "/profile"),
        ("PUT", "/profile"),
        ("DELETE", "/profile"),
        ("PUT", "/profile/inviter"),
        ("GET", "/profile/invitees"),
        ("GET", "/profile/invite.svg"),
        ("GET", "/sessions"),
        ("DELETE", "/sessions"),
    ):
        refused(await key.call(method, path, json={}), 401, "unauthorized")
    refused(await key.refresh(key.tokens["access_token"]), 401, "invalid_refresh_token")


async def test_invalid_api_keys(service: Service) -> None:
    key = (await service.api_key()).tokens["access_token"]
    for wrong in (key[:-1], key + "A", key.upper(), key.removeprefix("rk_"), "rk_", key + "="):
        response = await service.get("/api/v1/users", authorization=f"Bearer {wrong}")
        refused(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_revoked_key_stops_working_and_frees_its_name(service: Service) -> None:
    first = await api_keys.create(context_of(service), "ops")
    await api_keys.revoke(context_of(service), "ops")
    refused(
        await service.get("/api/v1/users", authorization=f"Bearer {first}"), 401, "unauthorized"
    )
    second = await api_keys.create(context_of(service), "ops")
    assert (await service.get("/api/v1/users", authorization=f"Bearer {second}")).is_success
    with pytest.raises(NotFound):
        await api_keys.revoke(context_of(service), "other")


async def test_no_api_key_is_stored(service: Service) -> None:
    key = (await service.api_key()).tokens["access_token"]
    for table in ("api_keys", "audit_entries"):
        rows = await database.query(f"SELECT * FROM {table}")  # noqa: S608 - our own names
        assert rows
        assert key not in str(rows)
        assert key.removeprefix("rk_") not in str(rows)


async def test_only_api_keys_administer_an_open_demo(database_url: str) -> None:
    """Anybody can sign in with any phone there, so earlier administrators do not count."""
    async with running(database_url) as service:
        admin = await service.sign_in_admin()
        person = await service.sign_in()
    async with running(database_url, inbox=None, **OPEN_DEMO) as demo:
        again = await demo.sign_in(admin.phone)
        refused(await again.call("GET", "/users"), 403, "forbidden")
        key = await demo.api_key()
        assert not any(user["is_admin"] for user in ok(await key.call("GET", "/users"))["items"])
        granted = refused(await patch(key, person, is_admin=True), 403, "forbidden")
        assert "simulated" in granted["detail"]
        # The rule about the last administrator does not apply here
        assert (await again.call("DELETE", "/profile")).status_code == 204


async def test_a_test_phone_is_never_an_administrator(database_url: str) -> None:
    """Neither by a grant over HTTP nor by one made before it was a test phone."""
    async with running(database_url) as service:
        set_clock(service, JANUARY)
        await admins.grant(context_of(service), TEST_PHONE)
        assert (await (await service.sign_in(TEST_PHONE)).call("GET", "/users")).is_success
    async with running(database_url, inbox=Inbox(), **TEST_PHONES) as service:
        set_clock(service, JANUARY + timedelta(days=1))
        sent = {**await service.send_code(TEST_PHONE), "code": "12345678"}
        tester = Person(service.http, TEST_PHONE, ok(await service.verify(sent)), is_new=False)
        refused(await tester.call("GET", "/users"), 403, "forbidden")
        admin = await service.sign_in_admin()
        assert not (await view(admin, tester))["is_admin"]
        refused(await patch(admin, tester, is_admin=True), 403, "forbidden")
        # Nor does it count as another administrator
        refused(await patch(admin, admin, is_admin=False), 403, "forbidden")


async def test_a_session_of_an_open_demo_never_administers(database_url: str) -> None:
    """Even after the demo, if its user becomes an administrator: anybody may hold it."""
    async with running(database_url, inbox=None, **OPEN_DEMO) as demo:
        stranger = await demo.sign_in()
    async with running(database_url, inbox=None, **NO_DEMO) as service:
        await admins.grant(context_of(service), stranger.phone)
        stranger.http = service.http
        assert (await stranger.call("GET", "/profile")).is_success
        told = refused(await stranger.call("GET", "/users"), 403, "forbidden")
        assert "Sign in again" in told["detail"]
        service.clock.move(seconds=3)
        owner = await service.sign_in(stranger.phone)
        assert (await owner.call("GET", "/users")).is_success


@pytest.mark.parametrize("leaving", ["deletes the account", "moves on"])
async def test_a_waiting_grant_is_not_for_the_phones_next_owner(
    service: Service, leaving: str
) -> None:
    granted = new_phone()
    await admins.grant(context_of(service), granted)
    mover = await service.sign_in()
    await change_phone(mover, granted)
    refused(await mover.call("GET", "/users"), 403, "forbidden")
    if leaving == "moves on":
        await change_phone(mover, new_phone())
    else:
        assert (await mover.call("DELETE", "/profile")).status_code == 204
    service.clock.move(seconds=3)
    stranger = await service.sign_in(granted)
    assert stranger.is_new
    refused(await stranger.call("GET", "/users"), 403, "forbidden")


async def test_the_last_administrator_cannot_take_a_test_phone(database_url: str) -> None:
    async with running(database_url, inbox=Inbox(), **TEST_PHONES) as service:
        set_clock(service, JANUARY)
        admin = await service.sign_in_admin()
        sent = ok(await admin.call("POST", "/profile/phone/send-code", json={"phone": TEST_PHONE}))
        body = {"token": sent["token"], "code": "12345678"}
        refused(await admin.call("PUT", "/profile/phone", json=body), 403, "forbidden")
        other = await service.sign_in_admin()
        ok(await admin.call("PUT", "/profile/phone", json=body))
        refused(await admin.call("GET", "/users"), 403, "forbidden")
        assert (await other.call("GET", "/users")).is_success


@pytest.mark.parametrize("value", [1, 0, "true", "1", "no", 1.0, []])
async def test_fields_must_be_booleans(service: Service, value: object) -> None:
    admin, person = await service.sign_in_admin(), await service.sign_in()
    for field in ("is_admin", "is_blocked"):
        response = await admin.call("PATCH", f"/users/{person.id()}", json={field: value})
        refused(response, 400, "invalid_request")
    refused(await person.call("GET", "/users"), 403, "forbidden")


async def change_phone(person: Person, phone: str) -> None:
    sent = ok(await person.call("POST", "/profile/phone/send-code", json={"phone": phone}))
    body = {"token": sent["token"], "code": sent["code"]}
    ok(await person.call("PUT", "/profile/phone", json=body))


# Users


async def test_the_fields_of_a_user(service: Service) -> None:
    admin = await service.sign_in_admin()
    inviter = await service.sign_in()
    person = await service.sign_in(invite_code=await inviter.invite_code())
    ok(await person.call("PUT", "/profile", json={"name": "Zoë", "email": "zoe@example.com"}))
    user = await view(admin, person)
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
    assert (await view(admin, inviter))["invitee_count"] == 1
    assert (await view(admin, admin))["is_admin"]
    service.clock.move(minutes=5)
    await service.sign_in(person.phone)
    assert (await view(admin, person))["last_sign_in_at"] > user["last_sign_in_at"]


async def test_the_list_shows_users_as_the_single_view_does(service: Service) -> None:
    """Alike on both databases; the cursor is that of the page's last row."""
    admin, inviter = await service.sign_in_admin(), await service.sign_in()
    person = await service.sign_in(invite_code=await inviter.invite_code())
    ok(await person.call("PUT", "/profile", json={"name": "null", "email": "null@example.com"}))
    ok(await admin.call("PATCH", f"/users/{person.id()}", json={"is_blocked": True}))
    await users.set_fields(UUID(inviter.id()), created_at=datetime(2026, 1, 1, tzinfo=UTC))
    page = ok(await admin.call("GET", "/users", params={"limit": 2}))
    assert page["items"] == [await view(admin, each) for each in (person, admin)]
    assert [user["is_blocked"] for user in page["items"]] == [True, False]
    assert [user["is_admin"] for user in page["items"]] == [False, True]
    assert page["items"][0]["name"] == "null"
    last = page["items"][-1]
    place = Cursor(datetime.fromisoformat(last["created_at"]), UUID(last["id"]))
    assert cursors.parse(page["next_cursor"]) == place
    rest = ok(await admin.call("GET", "/users", params={"cursor": page["next_cursor"]}))
    assert rest == {"items": [await view(admin, inviter)], "next_cursor": None}
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
            if str(NOBODY) not in path:
                continue
            url = path.replace(str(NOBODY), str(user_id))
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
    for text in ("0V1KQM", "ouikqm", " Ou-Lkqm "):
        assert await listed(admin, search=text) == [person.phone]
    assert await listed(admin, search="0V1KQ") == []


async def test_search_by_id_and_by_a_pasted_link(service: Service) -> None:
    admin, person = await service.sign_in_admin(), await service.sign_in()
    link = ok(await person.call("GET", "/profile"))["invite_link"]
    for text in (person.id(), person.id().upper(), link, f"Join us: {link}."):
        assert await listed(admin, search=text) == [person.phone]
    for text in (str(uuid4()), link[:-6] + "ZZZZZZ"):
        assert await listed(admin, search=text) == []


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
    for text in ("", "  "):
        assert await listed(admin, search=text) == [admin.phone]


async def test_invalid_searches(service: Service) -> None:
    admin = await service.sign_in_admin()
    for text in ("x" * 255, "a\0b", "a\nb"):
        response = await admin.call("GET", "/users", params={"search": text})
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
    sent = ok(await people[0].call("POST", "/profile/phone/send-code", json={"phone": moved}))
    body = {"token": sent["token"], "code": sent["code"]}
    ok(await people[0].call("PUT", "/profile/phone", json=body))
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
    assert ok(await patch(admin, person, is_blocked=True))["is_blocked"]
    for session in (person, phone_two):
        refused(await session.call("GET", "/profile"), 401, "unauthorized")
        refused(await session.refresh(), 401, "invalid_refresh_token")
    service.clock.move(seconds=3)
    refused(await service.verify(await service.send_code(person.phone)), 403, "account_blocked")
    assert not ok(await patch(admin, person, is_blocked=False))["is_blocked"]
    refused(await person.refresh(), 401, "invalid_refresh_token")
    assert not (await service.sign_in_again(person)).is_new


async def test_a_change_needs_a_field_and_refuses_null(service: Service) -> None:
    admin, person = await service.sign_in_admin(), await service.sign_in()
    refused(await patch(admin, person), 400, "invalid_request")
    errors = refused(await patch(admin, person, is_admin=None), 400, "invalid_request")["errors"]
    assert [error["field"] for error in errors] == ["is_admin"]
    refused(await patch(admin, person, is_admin=True, phone="x"), 400, "invalid_request")
    assert not (await view(admin, person))["is_admin"]


async def test_no_sign_in_races_past_a_block(service: Service) -> None:
    """No session of a blocked user is left."""
    admin = await service.sign_in_admin()
    for _ in range(10):
        person = await service.sign_in()
        service.clock.move(seconds=3)
        sent = await service.send_code(person.phone)
        signing_in, blocking = await asyncio.gather(
            service.verify(sent), patch(admin, person, is_blocked=True)
        )
        ok(blocking)
        ok(await patch(admin, person, is_blocked=False))
        if signing_in.is_success:
            late = Person(service.http, person.phone, signing_in.json(), is_new=False)
            refused(await late.call("GET", "/profile"), 401, "unauthorized")
        else:
            refused(signing_in, 403, "account_blocked")


# The last administrator


async def test_the_last_administrator_cannot_be_removed(service: Service) -> None:
    admin, key = await service.sign_in_admin(), await service.api_key()
    gone, blocked = await service.sign_in_admin(), await service.sign_in_admin()
    ok(await patch(admin, blocked, is_blocked=True))
    ok(await admin.call("DELETE", f"/users/{gone.id()}"))
    for by in (admin, key):
        for fields in ({"is_admin": False}, {"is_blocked": True}):
            problem = refused(await patch(by, admin, **fields), 403, "forbidden")
            assert "last administrator" in problem["detail"]
        refused(await by.call("DELETE", f"/users/{admin.id()}"), 403, "forbidden")
    refused(await admin.call("DELETE", "/profile"), 403, "forbidden")
    assert (await view(admin, admin))["is_admin"]
    other = await service.sign_in()
    ok(await patch(admin, other, is_admin=True))
    assert ok(await patch(admin, admin, is_admin=False))["is_admin"] is False
    refused(await other.call("DELETE", "/profile"), 403, "forbidden")


async def test_a_blocked_administrator_can_be_demoted_and_deleted(service: Service) -> None:
    admin, blocked = await service.sign_in_admin(), await service.sign_in_admin()
    ok(await patch(admin, blocked, is_blocked=True))
    ok(await patch(admin, blocked, is_admin=False))
    ok(await admin.call("DELETE", f"/users/{blocked.id()}"))


@pytest.mark.parametrize("how", ["demote", "block", "delete", "leave"])
async def test_administrators_removing_each_other_leave_one(service: Service, how: str) -> None:
    key = await service.api_key()
    for _ in range(3):
        pair = [await service.sign_in_admin() for _ in range(2)]

        async def remove(target: Person) -> httpx.Response:
            match how:
                case "demote":
                    return await patch(key, target, is_admin=False)
                case "block":
                    return await patch(key, target, is_blocked=True)
                case "delete":
                    return await key.call("DELETE", f"/users/{target.id()}")
                case _:
                    return await target.call("DELETE", "/profile")

        responses = await asyncio.gather(*(remove(target) for target in pair))
        assert sorted(response.is_success for response in responses) == [False, True]
        left = ok(await key.call("GET", "/users"))["items"]
        assert [user["is_admin"] and not user["is_blocked"] for user in left].count(True) == 1
        # For the next round: commands may remove the last one
        for target in pair:
            await admins.revoke(context_of(service), target.phone)


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
    anew = await service.sign_in_again(person)
    assert anew.is_new
    refused(await anew.activate(code), 409, "invite_already_activated")
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
    ok(await patch(admin, person, is_blocked=True))
    ok(await admin.call("DELETE", f"/users/{person.id()}/inviter"))
    assert (await inviter.profile())["invitee_count"] == 0


async def test_a_void_forgets_that_the_phone_left_once(service: Service) -> None:
    """The phone left the account and came back, so a digest of it is stored."""
    admin, inviter = await service.sign_in_admin(), await service.sign_in()
    code = await inviter.invite_code()
    person = await service.sign_in(invite_code=code)
    for phone in (new_phone(), person.phone):
        service.clock.move(seconds=3)
        sent = ok(await person.call("POST", "/profile/phone/send-code", json={"phone": phone}))
        body = {"token": sent["token"], "code": sent["code"]}
        ok(await person.call("PUT", "/profile/phone", json=body))
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
        user = await view(admin, person)
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


# A fresh sign-in

CHANGES: list[tuple[str, str, dict[str, bool] | None]] = [
    ("PATCH", "", {"is_blocked": True}),
    ("PATCH", "", {"is_blocked": False}),
    ("PATCH", "", {"is_admin": True}),
    ("PATCH", "", {"is_admin": False}),
    ("DELETE", "/inviter", None),
    ("DELETE", "", None),
]


async def test_administrators_changes_need_a_fresh_sign_in(service: Service) -> None:
    """Under 15 minutes old. Reading still works, and API keys are exempt."""
    admin, key = await service.sign_in_admin(), await service.api_key()
    code = await admin.invite_code()
    person = await service.sign_in(invite_code=code)
    before = await view(key, person)
    service.clock.move(minutes=15)
    admin = Person(admin.http, admin.phone, ok(await admin.refresh()), is_new=False)
    for method, path, body in CHANGES:
        response = await admin.call(method, f"/users/{person.id()}{path}", json=body)
        refused(response, 403, "sign_in_again")
    assert await view(admin, person) == before
    again = await service.sign_in_again(admin)
    service.clock.move(minutes=14, seconds=50)
    for actor in (again, key):
        for method, path, body in CHANGES[:4]:
            ok(await actor.call(method, f"/users/{person.id()}{path}", json=body))
    service.clock.move(minutes=10)
    for method, path, body in CHANGES[4:]:
        ok(await key.call(method, f"/users/{person.id()}{path}", json=body))


async def test_non_administrators_are_not_asked_to_sign_in_again(service: Service) -> None:
    person = await service.sign_in()
    service.clock.move(minutes=15)
    person = Person(person.http, person.phone, ok(await person.refresh()), is_new=False)
    for method, path, body in CHANGES:
        response = await person.call(method, f"/users/{person.id()}{path}", json=body)
        refused(response, 403, "forbidden")
