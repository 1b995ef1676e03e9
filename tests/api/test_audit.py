"""The audit trail: who did what, when, and from where."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from accounts import change_phone
from referral.core import tokens
from referral.service import admins, api_keys
from referral.storage import database
from support import Person, Service, context_of, new_phone, ok, refused

ADDRESS = "127.0.0.1"


async def trail(by: Person, **query: Any) -> list[dict[str, Any]]:
    """Return entries, newest first."""
    items: list[dict[str, Any]] = ok(await by.call("GET", "/audit", params=query))["items"]
    return items


async def actions(by: Person, person: Person) -> list[tuple[str, str]]:
    """Return the actions concerning a person and their actors, newest first."""
    return [(entry["action"], entry["actor"]) for entry in await trail(by, user=person.id())]


async def test_actions_of_users(service: Service) -> None:
    key, inviter = await service.api_key(), await service.sign_in()
    code = await inviter.invite_code()
    person = await service.sign_in(invite_code=code)
    myself = f"user:{person.id()}"
    at_sign_up = [("invite_activated", myself), ("signed_in", myself), ("user_created", myself)]
    assert await actions(key, person) == at_sign_up
    person.phone = (await change_phone(person, new_phone()))["phone"]
    ok(await person.call("DELETE", "/sessions"))
    again = await service.sign_in_again(person)
    old = again.tokens["refresh_token"]
    for _ in range(2):
        again.tokens = ok(await again.refresh())
    refused(await again.refresh(old), 401, "invalid_refresh_token")
    last = await service.sign_in_again(person)
    ok(await last.call("DELETE", "/profile"))
    since = [
        "account_deleted",
        "signed_in",
        "refresh_token_reused",
        "signed_in",
        "signed_out_everywhere",
        "phone_changed",
    ]
    assert await actions(key, person) == [*((each, myself) for each in since), *at_sign_up]


async def test_an_activation_is_recorded_once(service: Service) -> None:
    """The same code again records nothing."""
    key, inviter, person = await service.api_key(), await service.sign_in(), await service.sign_in()
    for _ in range(3):
        ok(await person.activate(await inviter.invite_code()))
    recorded = [action for action, _ in await actions(key, person)]
    assert recorded == ["invite_activated", "signed_in", "user_created"]


async def test_actions_of_administrators(service: Service) -> None:
    admin, person = await service.sign_in_admin(), await service.sign_in()
    inviter = await service.sign_in()
    ok(await person.activate(await inviter.invite_code()))
    path = f"/users/{person.id()}"
    for body in (
        {"is_admin": True},
        {"is_admin": True},
        {"is_blocked": True, "is_admin": False},
        {"is_blocked": False},
    ):
        ok(await admin.call("PATCH", path, json=body))
    ok(await admin.call("DELETE", f"{path}/inviter"))
    ok(await admin.call("DELETE", path))
    by = f"user:{admin.id()}"
    assert (await actions(admin, person))[:-3] == [
        ("account_deleted", by),
        ("invite_voided", by),
        ("user_unblocked", by),
        ("admin_revoked", by),
        ("user_blocked", by),
        ("admin_granted", by),
    ]


async def test_the_fields_of_an_entry(service: Service) -> None:
    admin, key = await service.sign_in_admin(), await service.api_key()
    person = await service.sign_in()
    before = service.clock()
    ok(await key.call("PATCH", f"/users/{person.id()}", json={"is_blocked": True}))
    entry, *_ = await trail(admin)
    assert entry == {
        "id": entry["id"],
        "at": entry["at"],
        "action": "user_blocked",
        "actor": entry["actor"],
        "user_id": person.id(),
        "address": ADDRESS,
        "reason": None,
    }
    assert entry["actor"].startswith("key:tests ")
    assert before <= datetime.fromisoformat(entry["at"]) <= service.clock()


async def test_actions_of_commands(service: Service) -> None:
    """They have no address."""
    early, late = await service.sign_in(), new_phone()
    for phone in (early.phone, late):
        await admins.grant(context_of(service), phone)
        granted = await (service.sign_in(late) if phone == late else service.sign_in_again(early))
        assert ("admin_granted", "command") in await actions(granted, granted)
        await admins.revoke(context_of(service), phone)
    await api_keys.create(context_of(service), "ops")
    await api_keys.revoke(context_of(service), "ops")
    key = await service.api_key()
    done = [entry for entry in await trail(key) if entry["actor"] == "command"]
    assert [entry["action"] for entry in done] == [
        "api_key_made",
        "api_key_revoked",
        "api_key_made",
        "admin_revoked",
        "admin_granted",
        "admin_revoked",
        "admin_granted",
    ]
    assert {entry["address"] for entry in done} == {None}


async def test_refused_actions_are_not_recorded(service: Service) -> None:
    admin, person = await service.sign_in_admin(), await service.sign_in()
    before = await trail(admin)
    refused(await person.activate(await person.invite_code()), 409, "own_invite_code")
    demoted = await admin.call("PATCH", f"/users/{admin.id()}", json={"is_admin": False})
    refused(demoted, 403, "forbidden")
    refused(await admin.call("DELETE", f"/users/{person.id()}/inviter"), 404, "not_found")
    sent = await service.send_code(new_phone())
    refused(await service.verify(sent, invite_code="ZZZZZZ"), 404, "unknown_invite_code")
    assert await trail(admin) == before


async def test_only_committed_actions_are_logged(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """A sign-up that was rolled back is not logged."""
    caplog.set_level(logging.INFO, "referral")
    sent = await service.send_code(new_phone())
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(tokens, "issue_device", None)
        assert (await service.verify(sent)).status_code == 500
    assert "user_created" not in caplog.text
    ok(await service.verify(sent))
    assert caplog.text.count("user_created") == 1


async def test_the_trail_has_no_phones(service: Service) -> None:
    person = await service.sign_in()
    ok(await person.call("DELETE", "/profile"))
    rows = await database.query("SELECT * FROM audit_entries")
    assert rows
    assert person.phone.removeprefix("+") not in str(rows)


async def test_ids_and_times_are_serialised_as_text(service: Service) -> None:
    key, person = await service.api_key(), await service.sign_in()
    entry, *_ = await trail(key, user=person.id())
    (row,) = await database.query("SELECT id, at FROM audit_entries WHERE action = 'signed_in'")
    assert entry == {
        "id": str(row["id"]),
        "at": entry["at"],
        "action": "signed_in",
        "actor": f"user:{person.id()}",
        "user_id": person.id(),
        "address": ADDRESS,
        "reason": None,
    }
    at = datetime.fromisoformat(str(row["at"]))
    assert datetime.fromisoformat(entry["at"]) == at
    assert entry["at"].endswith("Z")
    made = [entry for entry in await trail(key) if entry["action"] == "api_key_made"]
    assert [entry["user_id"] for entry in made] == [None]


async def test_pages_list_each_entry_once(service: Service) -> None:
    key = await service.api_key()
    people = [await service.sign_in() for _ in range(3)]
    whole = await trail(key)
    assert len(whole) == 1 + 2 * len(people)
    seen: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = ok(await key.call("GET", "/audit", params=query))
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        await service.sign_in()
    assert seen == whole


async def test_the_trail_of_one_user(service: Service) -> None:
    key, person = await service.api_key(), await service.sign_in()
    await service.sign_in()
    assert {entry["user_id"] for entry in await trail(key, user=person.id())} == {person.id()}
    assert await trail(key, user=str(uuid4())) == []
    response = await key.call("GET", "/audit", params={"user": person.phone})
    errors = refused(response, 400, "invalid_request")["errors"]
    assert [error["field"] for error in errors] == ["user"]
