"""API keys: what they open, revoking them, and how they are stored."""

from __future__ import annotations

import re
from uuid import UUID

import pytest

from referral.context import Caller
from referral.core.errors import AccountBlocked, Forbidden, NotFound, Unauthorized
from referral.http import auth
from referral.service import admins, api_keys
from referral.storage import database, users
from support import Person, Service, context_of, ok, refused

CALLER = Caller(address="192.0.2.1", user_agent=None)


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


async def test_a_key_for_events_opens_no_administration(service: Service) -> None:
    """Every operation for administrators refuses it and says what it opens; others as any key."""
    key, person = await service.api_key(events_only=True), await service.sign_in()
    found = await operations_with(service, auth.ADMINISTRATOR)
    assert len(found) >= 8
    for method, path in found:
        response = await key.call(method, path.replace("{user_id}", person.id()))
        detail = refused(response, 403, "forbidden")["detail"]
        assert "`POST /api/v1/events`, `POST /api/v1/users/{id}/redemptions`" in detail
    for method, path in await operations_with(service, auth.REQUIRED):
        refused(await key.call(method, path), 401, "unauthorized")
    assert (await person.profile())["phone"] == person.phone


async def test_operations_for_keys_open_to_keys_only(service: Service) -> None:
    """Both kinds of keys pass; no user does, not even an administrator."""
    admin = await service.sign_in_admin()
    keys = [await service.api_key(), await service.api_key(events_only=True)]
    found = await operations_with(service, auth.KEY)
    assert len(found) >= 4
    for method, path in found:
        for key in keys:
            assert (await key.call(method, path)).status_code not in {401, 403}
        detail = refused(await admin.call(method, path), 403, "forbidden")["detail"]
        assert "`referral key new NAME --events`" in detail


@pytest.mark.parametrize("events_only", [False, True])
async def test_events_authenticate_either_kind_of_key(
    service: Service, *, events_only: bool
) -> None:
    key = await api_keys.create(context_of(service), "shop", events_only=events_only)
    actor = await admins.authenticate_key(context_of(service), key, caller=CALLER)
    assert (actor.name, actor.address) == ("key:shop", CALLER.address)
    await api_keys.revoke(context_of(service), "shop")
    for authenticate in (admins.authenticate_key, admins.authenticate):
        with pytest.raises(Unauthorized):
            await authenticate(context_of(service), key, caller=CALLER)


async def test_events_authenticate_no_user(service: Service) -> None:
    ctx = context_of(service)

    async def authenticate(person: Person) -> None:
        await admins.authenticate_key(ctx, person.tokens["access_token"], caller=CALLER)

    admin, person = await service.sign_in_admin(), await service.sign_in()
    for each in (admin, person):
        with pytest.raises(Forbidden) as refusal:
            await authenticate(each)
        assert "`referral key new NAME --events`" in refusal.value.detail
    await users.set_fields(UUID(person.id()), is_blocked=True)
    with pytest.raises(AccountBlocked):
        await authenticate(person)
    ok(await admin.call("DELETE", "/sessions"))
    with pytest.raises(Unauthorized):
        await authenticate(admin)


async def test_what_a_key_opens_is_listed(service: Service) -> None:
    """It is stored with the key. By default a key opens administration."""
    await api_keys.create(context_of(service), "ops")
    await api_keys.create(context_of(service), "shop", events_only=True)
    assert {key.name: key.events_only for key in await api_keys.list_all()} == {
        "ops": False,
        "shop": True,
    }


async def operations_with(
    service: Service, security: list[dict[str, list[str]]]
) -> list[tuple[str, str]]:
    """Return the methods and paths, relative to /api/v1, of operations with this security."""
    document = ok(await service.get("/docs/openapi.json"))
    return [
        (method.upper(), re.sub(r"\{(?!user_id).*?\}", "AAAAAA", path.removeprefix("/api/v1")))
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if path.startswith("/api/v1/") and operation.get("security") == security
    ]
