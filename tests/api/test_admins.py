"""Administrators: who is one, the last one, and the fresh sign-in that changes need."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from accounts import change_phone, patch_user, user_seen_by
from referral.service import admins
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
            ok(await patch_user(other, admin, is_admin=False))
            refused(await admin.call("GET", "/users"), 403, "forbidden")
            continue
        if ending == "sign out":
            ok(await admin.call("DELETE", "/sessions"))
        elif ending == "block":
            ok(await patch_user(other, admin, is_blocked=True))
        else:
            ok(await other.call("DELETE", f"/users/{admin.id()}"))
        refused(await admin.call("GET", "/users"), 401, "unauthorized")


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
        granted = refused(await patch_user(key, person, is_admin=True), 403, "forbidden")
        assert "simulated" in granted["detail"]
        # The rule about the last administrator does not apply here
        assert (await again.call("DELETE", "/profile")).status_code == 204


async def test_a_test_phone_is_never_an_administrator(database_url: str) -> None:
    """Neither by a grant over HTTP nor by one made before it was a test phone."""
    async with running(database_url) as service:
        service.clock.set(JANUARY)
        await admins.grant(context_of(service), TEST_PHONE)
        assert (await (await service.sign_in(TEST_PHONE)).call("GET", "/users")).is_success
    async with running(database_url, inbox=Inbox(), **TEST_PHONES) as service:
        service.clock.set(JANUARY + timedelta(days=1))
        sent = {**await service.send_code(TEST_PHONE), "code": "12345678"}
        tester = Person(service.http, TEST_PHONE, ok(await service.verify(sent)), is_new=False)
        refused(await tester.call("GET", "/users"), 403, "forbidden")
        admin = await service.sign_in_admin()
        assert not (await user_seen_by(admin, tester))["is_admin"]
        refused(await patch_user(admin, tester, is_admin=True), 403, "forbidden")
        # Nor does it count as another administrator
        refused(await patch_user(admin, admin, is_admin=False), 403, "forbidden")


async def test_a_session_of_an_open_demo_never_administers(database_url: str) -> None:
    """Even after the demo, if its user becomes an administrator: anybody may hold it."""
    async with running(database_url, inbox=None, **OPEN_DEMO) as demo:
        stranger = await demo.sign_in()
    async with running(database_url, inbox=None, **NO_DEMO) as service:
        await admins.grant(context_of(service), stranger.phone)
        stranger.http = service.http
        assert (await stranger.call("GET", "/profile")).is_success
        problem = refused(await stranger.call("GET", "/users"), 403, "forbidden")
        assert "Sign in again" in problem["detail"]
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
        service.clock.set(JANUARY)
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


# The last administrator


async def test_the_last_administrator_cannot_be_removed(service: Service) -> None:
    admin, key = await service.sign_in_admin(), await service.api_key()
    gone, blocked = await service.sign_in_admin(), await service.sign_in_admin()
    ok(await patch_user(admin, blocked, is_blocked=True))
    ok(await admin.call("DELETE", f"/users/{gone.id()}"))
    for by in (admin, key):
        for fields in ({"is_admin": False}, {"is_blocked": True}):
            problem = refused(await patch_user(by, admin, **fields), 403, "forbidden")
            assert "last administrator" in problem["detail"]
        refused(await by.call("DELETE", f"/users/{admin.id()}"), 403, "forbidden")
    refused(await admin.call("DELETE", "/profile"), 403, "forbidden")
    assert (await user_seen_by(admin, admin))["is_admin"]
    other = await service.sign_in()
    ok(await patch_user(admin, other, is_admin=True))
    assert ok(await patch_user(admin, admin, is_admin=False))["is_admin"] is False
    refused(await other.call("DELETE", "/profile"), 403, "forbidden")


async def test_a_blocked_administrator_can_be_demoted_and_deleted(service: Service) -> None:
    admin, blocked = await service.sign_in_admin(), await service.sign_in_admin()
    ok(await patch_user(admin, blocked, is_blocked=True))
    ok(await patch_user(admin, blocked, is_admin=False))
    ok(await admin.call("DELETE", f"/users/{blocked.id()}"))


@pytest.mark.parametrize("how", ["demote", "block", "delete", "leave"])
async def test_administrators_removing_each_other_leave_one(service: Service, how: str) -> None:
    key = await service.api_key()
    for _ in range(3):
        pair = [await service.sign_in_admin() for _ in range(2)]

        async def remove(target: Person) -> httpx.Response:
            match how:
                case "demote":
                    return await patch_user(key, target, is_admin=False)
                case "block":
                    return await patch_user(key, target, is_blocked=True)
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
    before = await user_seen_by(key, person)
    service.clock.move(minutes=15)
    admin = Person(admin.http, admin.phone, ok(await admin.refresh()), is_new=False)
    for method, path, body in CHANGES:
        response = await admin.call(method, f"/users/{person.id()}{path}", json=body)
        refused(response, 403, "sign_in_again")
    assert await user_seen_by(admin, person) == before
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
