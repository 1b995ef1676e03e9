"""`referral key` and `referral users`, each run as a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from processes import done, referral, refusal
from referral.storage.models import User
from support import Person, Service, new_phone, ok, refused, running


async def users_with(service: Service, key: str) -> httpx.Response:
    return await service.get("/api/v1/users", authorization=f"Bearer {key}")


async def test_a_key_is_created_used_and_revoked(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    printed = done(referral(tmp_path, "key", "new", "billing [v2]", **on))
    key = printed.strip()
    assert key.startswith("rk_")
    assert printed == f"{key}\n"
    assert (await users_with(service, key)).is_success
    listed = done(referral(tmp_path, "key", "list", **on))
    assert "billing [v2]" in listed
    assert key not in listed
    done(referral(tmp_path, "key", "revoke", "billing [v2]", **on))
    refused(await users_with(service, key), 401, "unauthorized")
    assert "billing" not in done(referral(tmp_path, "key", "list", **on))


async def test_a_key_for_events(service: Service, on: dict[str, str], tmp_path: Path) -> None:
    """It opens no administration, and the list says so."""
    key = done(referral(tmp_path, "key", "new", "shop", "--events", **on)).strip()
    refused(await users_with(service, key), 403, "forbidden")
    done(referral(tmp_path, "key", "new", "ops", **on))
    rows = done(referral(tmp_path, "key", "list", **on)).splitlines()
    for name, opens in (("shop", "events"), ("ops", "administration")):
        (row,) = [row for row in rows if name in row]
        assert opens in row


def test_wrong_names_of_keys_are_refused(on: dict[str, str], tmp_path: Path) -> None:
    done(referral(tmp_path, "key", "new", "ops", **on))
    assert "Choose another name" in refusal(referral(tmp_path, "key", "new", "ops", **on))
    for name in ("", " ", "x" * 101, "a\nb"):
        assert "name: " in refusal(referral(tmp_path, "key", "new", name, **on))
    assert "referral key list" in refusal(referral(tmp_path, "key", "revoke", "nobody", **on))


async def test_a_phone_is_added(database_url: str, on: dict[str, str], tmp_path: Path) -> None:
    """It can sign up while sign-up is closed. For a phone with an account nothing changes."""
    async with running(database_url, REFERRAL_SIGN_UP="closed") as service:
        phone = new_phone()
        sent = await service.send_code(phone)
        refused(await service.verify(sent), 403, "sign_up_closed")
        spelt = f"{phone[:2]} {phone[2:5]} {phone[5:]}"
        for _ in range(2):
            printed = done(referral(tmp_path, "users", "add", spelt, **on))
            assert printed == f"{phone} can sign up without an invitation\n"
        assert (await service.verify(sent)).status_code == 201
        printed = done(referral(tmp_path, "users", "add", spelt, **on))
        assert printed == f"{phone} has an account already\n"
        assert "phone number" in refusal(referral(tmp_path, "users", "add", "12", **on))


async def test_users_are_listed_searched_and_shown(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    anna, boris = await named(service, "Анна [bold]"), await named(service, "Boris\u202e")
    everybody = done(referral(tmp_path, "users", "list", **on))
    assert everybody.index(boris.phone) < everybody.index(anna.phone)
    assert anna.id() in everybody
    assert "Анна [bold]" in everybody
    assert "\u202e" not in everybody
    found = done(referral(tmp_path, "users", "list", "--search", "анна", **on))
    assert anna.phone in found
    assert boris.phone not in found
    newest = done(referral(tmp_path, "users", "list", "--limit", "1", **on))
    assert anna.phone not in newest
    assert "There are more users" in newest
    for by in (anna.id(), f"{anna.phone[:2]} {anna.phone[2:]}"):
        shown = done(referral(tmp_path, "users", "show", by, **on))
        for text in (anna.id(), anna.phone, await anna.invite_code(), "Анна [bold]"):
            assert text in shown


async def test_a_user_is_blocked_unblocked_and_deleted(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    person = await service.sign_in()
    done(referral(tmp_path, "users", "block", person.phone, **on))
    refused(await person.call("GET", "/profile"), 401, "unauthorized")
    done(referral(tmp_path, "users", "unblock", person.id(), **on))
    person = await service.sign_in_again(person)
    done(referral(tmp_path, "users", "delete", person.phone, "--yes", **on))
    refused(await person.call("GET", "/profile"), 401, "unauthorized")
    assert "no user" in refusal(referral(tmp_path, "users", "show", person.phone, **on))
    assert (await service.sign_in_again(person)).is_new


@pytest.mark.parametrize(("answer", "is_deleted"), [("y\n", True), ("n\n", False), ("", False)])
async def test_a_deletion_asks_first(
    service: Service, on: dict[str, str], tmp_path: Path, answer: str, *, is_deleted: bool
) -> None:
    person = await service.sign_in()
    finished = referral(tmp_path, "users", "delete", person.phone, typed=answer, **on)
    assert person.phone in finished.stdout
    assert (finished.returncode == 0) is is_deleted
    assert (await person.call("GET", "/profile")).is_success is not is_deleted


async def test_commands_can_remove_the_last_administrator(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    admin = await service.sign_in_admin()
    done(referral(tmp_path, "users", "delete", admin.id(), "--yes", **on))
    assert (await service.sign_in_again(admin)).is_new


STRAY, OWN = "+49015123456789", "+4915123456789"


async def with_stray_phone(service: Service) -> tuple[Person, Person]:
    """Sign in a user stored as `+490151...`, as earlier, and the owner of +49151..."""
    stray, own = await service.sign_in(), await service.sign_in(phone=OWN)
    await User.filter(id=stray.id()).update(phone=STRAY)
    return stray, own


async def test_phones_that_are_read_as_others_are_listed(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    assert "every phone is read" in done(referral(tmp_path, "users", "check", **on))
    stray, own = await with_stray_phone(service)
    landline = await service.sign_in()
    await User.filter(id=landline.id()).update(phone="+442079460958")
    deleted = await service.sign_in()
    ok(await deleted.call("DELETE", "/profile"))
    finished = referral(tmp_path, "users", "check", **on)
    assert "2 cannot sign in" in refusal(finished)
    assert sorted(finished.stdout.splitlines()) == sorted(
        [
            f"{stray.id()} {STRAY} is read as {OWN}, the phone of {own.id()}",
            f"{landline.id()} +442079460958 receives no codes",
        ]
    )


async def test_a_command_finds_the_exact_phone_first(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    """Otherwise `users block +490151...` would block the account of +49151..."""
    stray, own = await with_stray_phone(service)
    for phone, person in ((STRAY, stray), (OWN, own)):
        assert person.id() in done(referral(tmp_path, "users", "show", phone, **on))
        assert phone in done(referral(tmp_path, "users", "block", phone, **on))
    assert stray.id() in done(referral(tmp_path, "users", "show", f" {STRAY} ", **on))
    line = refusal(referral(tmp_path, "users", "block", "+49 00 1512 3456789", **on))
    assert stray.id() in line
    assert own.id() in line


async def test_a_user_gets_another_phone(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    stray, own = await with_stray_phone(service)
    line = refusal(referral(tmp_path, "users", "phone", STRAY, OWN, **on))
    assert "Another account" in line
    ok(await own.call("DELETE", "/profile"))
    moved = done(referral(tmp_path, "users", "phone", STRAY, "+49 00 1512 3456789", **on))
    assert moved == f"{stray.id()} now has the phone {OWN}\n"
    refused(await stray.call("GET", "/profile"), 401, "unauthorized")
    again = await service.sign_in(phone=OWN)
    assert again.id() == stray.id()
    assert "every phone is read" in done(referral(tmp_path, "users", "check", **on))
    key = await service.api_key()
    trail = ok(await key.call("GET", f"/audit?user={stray.id()}"))["items"]
    assert ("phone_changed", "command") in [(each["action"], each["actor"]) for each in trail]


@pytest.mark.parametrize("command", ["show", "block", "unblock", "delete"])
def test_unknown_users_are_refused(on: dict[str, str], tmp_path: Path, command: str) -> None:
    for user in ("+79991234567", "00000000-0000-0000-0000-000000000000", "anna"):
        refusal(referral(tmp_path, "users", command, user, **on))


async def named(service: Service, name: str) -> Person:
    person = await service.sign_in()
    fields: dict[str, Any] = {"name": name}
    ok(await person.call("PATCH", "/profile", json=fields))
    return person
