"""The last place of an invite code, wanted by many at once, with four worker processes."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from parallel_requests import assert_nothing_broke, client, codes
from processes import done, new_database, referral, serving
from support import Clock, Inbox, Service, new_phone, ok

MANY = 50
PLACES = 3


@pytest.mark.parametrize("mode", ["invited", "open"])
async def test_one_of_many_gets_the_last_place(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest, mode: str
) -> None:
    """One account is made; the refused challenges stay valid, and without a limit all sign up."""
    url = await new_database(database_kind, tmp_path, request)
    settings = {
        "DATABASE_URL": url,
        "WEB_CONCURRENCY": "4",
        "REFERRAL_SIGN_UP": mode,
        "REFERRAL_INVITES_PER_USER": str(PLACES),
    }
    with serving(tmp_path, **settings) as server:
        async with client(server) as http:
            service = Service(http, Clock(), Inbox())
            phone = new_phone()
            done(referral(tmp_path, "users", "add", phone, **settings))
            inviter = await service.sign_in(phone)
            code = inviter.tokens["profile"]["invite_code"]
            for _ in range(PLACES - 1):
                await service.sign_in(invite_code=code)
            sent = await asyncio.gather(*(service.send_code(new_phone()) for _ in range(MANY)))
            responses = await asyncio.gather(
                *(service.verify(each, invite_code=code) for each in sent)
            )
            assert_nothing_broke(responses, server)
            assert codes(responses) == Counter({"none": 1, "invites_used_up": MANY - 1})
            assert (await inviter.profile())["invitee_count"] == PLACES
            again = await asyncio.gather(
                *(
                    service.verify(each)
                    for each, r in zip(sent, responses, strict=True)
                    if r.is_error
                )
            )
            expected = "invitation_required" if mode == "invited" else "none"
            assert codes(again) == Counter({expected: MANY - 1})


async def test_first_count_of_places_is_exact(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Many want a place of a code whose places have never been counted, by sign-up and later."""
    url = await new_database(database_kind, tmp_path, request)
    settings = {
        "DATABASE_URL": url,
        "WEB_CONCURRENCY": "4",
        # Access tokens of the first server are used at the second one
        "REFERRAL_PUBLIC_URL": "https://referral.example.com",
    }
    with serving(tmp_path, **settings) as server:
        async with client(server) as http:
            service = Service(http, Clock(), Inbox())
            inviter = await service.sign_in()
            code = inviter.tokens["profile"]["invite_code"]
            for _ in range(PLACES):
                await service.sign_in(invite_code=code)
            waiting = [await service.sign_in() for _ in range(10)]
    with serving(tmp_path, **settings, REFERRAL_INVITES_PER_USER=str(PLACES + 5)) as server:
        async with client(server) as http:
            service = Service(http, Clock(), Inbox())
            for each in waiting:
                each.http = http
            sent = [await service.send_code(new_phone()) for _ in range(10)]
            responses = await asyncio.gather(
                *(each.activate(code) for each in waiting),
                *(service.verify(each, invite_code=code) for each in sent),
            )
            assert_nothing_broke(responses, server)
            assert codes(responses) == Counter({"none": 5, "invites_used_up": 15})
            inviter.http = http
            assert ok(await inviter.call("GET", "/profile"))["invitee_count"] == PLACES + 5
