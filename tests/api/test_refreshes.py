"""Refresh tokens: rotation, repeats, reuse and expiry."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from accounts import assert_ended, claims, decoded, encoded, rotated
from support import Person, Service, ok, refused


async def test_refresh_rotates_the_token(service: Service) -> None:
    person = await service.sign_in()
    response = await person.refresh()
    body = ok(response)
    assert body.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    assert response.headers["cache-control"] == "no-store"
    assert body["refresh_token"] != person.tokens["refresh_token"]
    assert body["access_token"] != person.tokens["access_token"]
    after = await rotated(Person(person.http, person.phone, body, is_new=False))
    ok(await after.call("GET", "/profile"))
    assert claims(after)["sid"] == claims(person)["sid"]


async def test_predecessor_gets_the_live_token_for_30_seconds(
    service: Service,
) -> None:
    """A client that lost the response repeats the request and gets the same token."""
    person = await service.sign_in()
    live = await rotated(person)
    for _ in range(2):
        service.clock.move(seconds=14)
        again = ok(await person.refresh())
        assert again["refresh_token"] == live.tokens["refresh_token"]
    ok(await live.refresh())


async def test_three_late_repeats_a_day_get_a_new_token(service: Service) -> None:
    """After 30 seconds: another live token. The token it replaces is then an older one."""
    person = await service.sign_in()
    live = [person.tokens["refresh_token"], ok(await person.refresh())["refresh_token"]]
    service.clock.move(seconds=20)
    # A repeat in between does not extend the 30 seconds
    assert ok(await person.refresh())["refresh_token"] == live[1]
    service.clock.move(seconds=11)
    for _ in range(3):
        again = [ok(await person.refresh())["refresh_token"] for _ in range(2)]
        assert again[0] == again[1]
        assert again[0] not in live
        live.append(again[0])
        service.clock.move(seconds=31)
    last = Person(person.http, person.phone, ok(await person.refresh(live[-1])), is_new=False)
    service.clock.move(seconds=31)
    # The direct predecessor is now the token refreshed just before, and its repeat is late
    refused(await person.refresh(live[-1]), 401, "invalid_refresh_token")
    await assert_ended(last)


async def test_the_fourth_late_repeat_ends_the_session(service: Service) -> None:
    person = await service.sign_in()
    for _ in range(4):
        live = await rotated(person)
        service.clock.move(seconds=31)
    refused(await person.refresh(), 401, "invalid_refresh_token")
    await assert_ended(live)


async def test_late_repeats_are_allowed_again_after_a_day(service: Service) -> None:
    person = await service.sign_in()
    await rotated(person)
    for _ in range(2):
        service.clock.move(hours=24)
        for _ in range(3):
            await rotated(person)
            service.clock.move(seconds=31)
    refused(await person.refresh(), 401, "invalid_refresh_token")


async def test_a_token_replaced_by_a_late_repeat_ends_the_session(service: Service) -> None:
    person = await service.sign_in()
    lost = await rotated(person)
    service.clock.move(seconds=31)
    live = await rotated(person)
    refused(await lost.refresh(), 401, "invalid_refresh_token")
    await assert_ended(live)


async def test_a_session_continues_after_a_late_repeat(service: Service) -> None:
    """The new token rotates like any other; the repeated one is then an older one."""
    person = await service.sign_in()
    await rotated(person)
    service.clock.move(hours=2)
    live = await rotated(await rotated(person))
    ok(await live.call("GET", "/profile"))
    live = await rotated(live)
    refused(await person.refresh(), 401, "invalid_refresh_token")
    await assert_ended(live)


async def test_parallel_late_repeats_get_one_live_token(service: Service) -> None:
    """They are charged once: two more are allowed."""
    person = await service.sign_in()
    await rotated(person)
    service.clock.move(seconds=31)
    responses = await asyncio.gather(*(person.refresh() for _ in range(20)))
    assert len({ok(response)["refresh_token"] for response in responses}) == 1
    for _ in range(2):
        service.clock.move(seconds=31)
        ok(await person.refresh())
    service.clock.move(seconds=31)
    refused(await person.refresh(), 401, "invalid_refresh_token")


async def test_reuse_of_an_older_token_ends_the_session(
    service: Service,
) -> None:
    """Any token except the live one and its predecessor, however recent."""
    person = await service.sign_in()
    live = await rotated(await rotated(person))
    refused(await person.refresh(), 401, "invalid_refresh_token")
    await assert_ended(live)


async def test_reuse_ends_only_that_session(service: Service) -> None:
    person = await service.sign_in()
    other = await service.sign_in_again(person)
    await rotated(await rotated(person))
    refused(await person.refresh(), 401, "invalid_refresh_token")
    ok(await other.refresh())


async def test_refresh_with_a_forged_token_ends_nothing(service: Service) -> None:
    """Nor does one with another session's family: a session's id is not a secret."""
    person, thief = await service.sign_in(), await service.sign_in()
    session_id = decoded(person.tokens["refresh_token"])[:16]
    own = decoded(thief.tokens["refresh_token"])
    for rest in (secrets.token_bytes(48), bytes(48), own[16:]):
        refused(await person.refresh(encoded(session_id + rest)), 401, "invalid_refresh_token")
    ok(await person.call("GET", "/profile"))
    ok(await person.refresh())


async def test_other_spellings_of_a_refresh_token_are_refused(service: Service) -> None:
    """They do not end the session as reuse would."""
    token = (await service.sign_in()).tokens["refresh_token"]
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    changed = token[:-1] + last[last.index(token[-1]) ^ 1]
    for spelling in (token + "==", token + "\n", " " + token, changed, token[:-1]):
        response = await service.post("/auth/refresh", refresh_token=spelling)
        refused(response, 401, "invalid_refresh_token")
    ok(await service.post("/auth/refresh", refresh_token=token))


async def test_parallel_refreshes_get_one_successor(service: Service) -> None:
    person = await service.sign_in()
    responses = await asyncio.gather(*(person.refresh() for _ in range(20)))
    successors = {ok(response)["refresh_token"] for response in responses}
    assert len(successors) == 1
    ok(await person.refresh(successors.pop()))


@pytest.mark.parametrize("kind", ["access_token", "device_token"])
async def test_other_kinds_of_token_do_not_refresh(service: Service, kind: str) -> None:
    person = await service.sign_in()
    refused(await person.refresh(person.tokens[kind]), 401, "invalid_refresh_token")


async def test_a_session_expires_30_days_after_its_last_use(service: Service) -> None:
    person = await service.sign_in()
    for _ in range(2):
        service.clock.move(days=29, hours=23)
        person = await rotated(person)
    service.clock.move(days=30)
    await assert_ended(person)


async def test_a_session_expires_after_180_days_in_any_case(service: Service) -> None:
    """Its last access token expires with it."""
    person = await service.sign_in()
    for _ in range(6):
        service.clock.move(days=29, hours=23)
        person = await rotated(person)
    service.clock.move(hours=5, minutes=59)
    person = await rotated(person)
    ok(await person.call("GET", "/profile"))
    service.clock.move(minutes=2)
    await assert_ended(person)
