"""Codes that are exchanged in the same moment as what they rest on ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from locks import on_postgres, other_connection, wait_for_blocked
from pages import signed_in
from referral.core.errors import NotFound
from referral.openid import clients
from relying_party import App, register
from support import Person, Service, context_of, ok

pytestmark = on_postgres


@asynccontextmanager
async def halfway(database_url: str) -> AsyncIterator[Any]:
    """Stop every change before its entry in the audit trail, until the block ends."""
    async with other_connection(database_url) as other, other.transaction():
        await other.execute("LOCK TABLE audit_entries IN SHARE MODE")
        yield other


async def is_alive(app: App, response: httpx.Response) -> bool:
    bearer = f"Bearer {response.json()['access_token']}"
    info = await app.service.get("/oauth/userinfo", Authorization=bearer)
    return info.status_code == 200


async def test_signing_out_everywhere_ends_a_session_just_begun(
    service: Service, database_url: str
) -> None:
    app = await register(service)
    async with signed_in(service) as browser:
        code = await app.code(browser)
        own = {"access_token": browser.http.cookies["access"]}
        person = Person(service.http, browser.phone, own, is_new=False)
        async with halfway(database_url) as other:
            exchanging = asyncio.create_task(app.exchange(code))
            await wait_for_blocked(other)
            signing_out = asyncio.create_task(person.call("DELETE", "/sessions"))
            await wait_for_blocked(other, number=2)
        response = await exchanging
        ok(response)
        ok(await signing_out)
    assert not await is_alive(app, response)


@pytest.mark.parametrize("change", ["block", "delete"])
async def test_an_administrator_ends_a_session_just_begun(
    service: Service, database_url: str, change: str
) -> None:
    app, admin = await register(service), await service.sign_in_admin()
    async with signed_in(service) as browser:
        code = await app.code(browser)
        own = {"access_token": browser.http.cookies["access"]}
        user_id = Person(service.http, browser.phone, own, is_new=False).id()
        async with halfway(database_url) as other:
            exchanging = asyncio.create_task(app.exchange(code))
            await wait_for_blocked(other)
            if change == "block":
                body = {"is_blocked": True}
                ending = admin.call("PATCH", f"/users/{user_id}", json=body)
            else:
                ending = admin.call("DELETE", f"/users/{user_id}")
            task = asyncio.create_task(ending)
            await wait_for_blocked(other, number=2)
        response = await exchanging
        ok(response)
        ok(await task)
    assert not await is_alive(app, response)


async def test_a_deletion_of_the_client_ends_a_session_just_begun(
    service: Service, database_url: str
) -> None:
    app = await register(service)
    async with signed_in(service) as browser:
        code = await app.code(browser)
        async with halfway(database_url) as other:
            exchanging = asyncio.create_task(app.exchange(code))
            await wait_for_blocked(other)
            deleting = asyncio.create_task(app.delete())
            await wait_for_blocked(other, number=2)
        response = await exchanging
        ok(response)
        await deleting
    assert not await is_alive(app, response)
    with pytest.raises(NotFound):
        await clients.get(app.client_id)


async def test_a_second_use_at_the_same_time_ends_the_session(
    service: Service, database_url: str
) -> None:
    """It waits for the first, so that it finds the session."""
    app, ctx = await register(service), context_of(service)
    async with signed_in(service) as browser:
        code = await app.code(browser)
        await ctx.signing_keys.current(ctx)
        async with halfway(database_url) as other:
            first = asyncio.create_task(app.exchange(code))
            await wait_for_blocked(other)
            second = asyncio.create_task(app.exchange(code))
            await wait_for_blocked(other, number=2)
        ok(await first)
        assert (await second).json()["error"] == "invalid_grant"
    assert not await is_alive(app, await first)
