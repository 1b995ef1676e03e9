"""API keys: what they open, revoking them, and how they are stored."""

from __future__ import annotations

import pytest

from referral.core.errors import NotFound
from referral.service import api_keys
from referral.storage import database
from support import Service, context_of, refused


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
