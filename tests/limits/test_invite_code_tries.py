"""Tries of invite codes: unknown codes are limited, known ones cost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from guessing import UNKNOWN, limited
from pages import browsing
from parallel_requests import assert_nothing_broke, client, codes
from processes import Server, serving
from support import Clock, Inbox, Person, Service, ok, refused, running

TRIES_OF_USER, TRIES_OF_ADDRESS = 10, 60


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    with serving(tmp_path, DATABASE_URL=database_url, WEB_CONCURRENCY="2") as started:
        yield started


@pytest.fixture
async def all_processes(server: Server) -> AsyncIterator[Service]:
    async with client(server) as http:
        yield Service(http, Clock(), Inbox())


async def look_up(service: Service, invite_code: str) -> httpx.Response:
    return await service.get(f"/api/v1/invitations/{invite_code}")


async def block(service: Service, person: Person, *, is_blocked: bool = True) -> None:
    key = await service.api_key()
    ok(await key.call("PATCH", f"/users/{person.id()}", json={"is_blocked": is_blocked}))


async def test_parallel_look_ups_do_not_exceed_the_limit(
    all_processes: Service, server: Server
) -> None:
    """Of 100 in flight over two processes, 60 are looked up."""
    responses = await asyncio.gather(*(look_up(all_processes, UNKNOWN) for _ in range(100)))
    assert_nothing_broke(responses, server)
    assert codes(responses) == {"unknown_invite_code": TRIES_OF_ADDRESS, "too_many_requests": 40}


async def test_parallel_activations_do_not_exceed_the_limit(
    all_processes: Service, server: Server
) -> None:
    person = await all_processes.sign_in()
    responses = await asyncio.gather(*(person.activate(UNKNOWN) for _ in range(50)))
    assert_nothing_broke(responses, server)
    assert codes(responses) == {"unknown_invite_code": TRIES_OF_USER, "too_many_requests": 40}


async def test_parallel_tries_at_sign_in_do_not_exceed_the_limit(
    all_processes: Service, server: Server
) -> None:
    """A right sign-in code stays valid, and allows 10 tries of invite codes in an hour, not 50."""
    sent = await all_processes.send_code("+79991234567")
    tries = (all_processes.verify(sent, invite_code=UNKNOWN) for _ in range(50))
    responses = await asyncio.gather(*tries)
    assert_nothing_broke(responses, server)
    assert codes(responses)["unknown_invite_code"] <= TRIES_OF_USER
    ok(await all_processes.verify(sent))


async def test_burst_with_a_known_code_is_not_refused(
    all_processes: Service, server: Server
) -> None:
    """A hundred people behind one address open one invitation at the same time."""
    code = await (await all_processes.sign_in()).invite_code()
    responses = await asyncio.gather(*(look_up(all_processes, code) for _ in range(100)))
    assert_nothing_broke(responses, server)
    assert [response.status_code for response in responses] == [200] * 100
    for _ in range(TRIES_OF_ADDRESS):
        refused(await look_up(all_processes, UNKNOWN), 404, "unknown_invite_code")


async def test_invitation_page_works_once_no_try_is_left(service: Service) -> None:
    """It keeps the code and omits the inviter's name; a malformed code is still an error."""
    inviter = await service.sign_in()
    ok(await inviter.call("PATCH", "/profile", json={"name": "Anna"}))
    code = await inviter.invite_code()
    async with browsing(service) as browser:
        assert "Anna" in await browser.see(f"/i/{code}")
        for _ in range(TRIES_OF_ADDRESS):
            assert (await browser.get(f"/i/{UNKNOWN}")).status_code == 404
        limited(await look_up(service, code))
        page = await browser.see(f"/i/{code.lower()}")
        assert "Anna" not in page
        assert f'name="invite_code" value="{code}"' in page
        assert (await browser.get("/i/nonsense")).status_code == 404
        assert await browser.sign_in(invite_code=code) == "/me"
        assert code in await browser.see("/me/account")
    assert (await inviter.profile())["invitees"] == [browser.phone]


async def test_code_of_a_blocked_inviter_is_unknown(service: Service) -> None:
    """Wherever codes are tried, and only as long as the block lasts."""
    inviter, stranger = await service.sign_in(), await service.sign_in()
    code = await inviter.invite_code()
    invitee = await service.sign_in(invite_code=code)
    await block(service, inviter)
    refused(await look_up(service, code), 404, "unknown_invite_code")
    refused(await stranger.activate(code), 404, "unknown_invite_code")
    sent = await service.send_code("+79991234567")
    refused(await service.verify(sent, invite_code=code), 404, "unknown_invite_code")
    async with browsing(service) as browser:
        assert (await browser.get(f"/i/{code}")).status_code == 404
    assert ok(await invitee.activate(code))["activated_invite_code"] == code
    service.clock.move(seconds=3)
    again = await service.sign_in(invitee.phone, invite_code=code)
    assert (await again.profile())["activated_invite_code"] == code
    await block(service, inviter, is_blocked=False)
    ok(await look_up(service, code))
    ok(await stranger.activate(code))
    ok(await service.verify(sent, invite_code=code))


async def test_code_of_a_blocked_inviter_is_charged(database_url: str) -> None:
    async with running(database_url, REFERRAL_INVITE_FAILURES_PER_USER_HOUR="2") as service:
        inviter, person = await service.sign_in(), await service.sign_in()
        code = await inviter.invite_code()
        await block(service, inviter)
        for _ in range(2):
            refused(await person.activate(code), 404, "unknown_invite_code")
        limited(await person.activate(code))
