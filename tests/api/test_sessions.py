"""Sessions: listing and ending."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

from accounts import assert_ended, claims, decoded, encoded, rotated
from support import Person, Service, ok, refused


async def listed(person: Person, **query: Any) -> dict[str, Any]:
    return ok(await person.call("GET", "/sessions", params=query))


# The list


async def test_the_list_marks_the_current_session(service: Service) -> None:
    """Newest first; each item has the user agent of its sign-in, and no secret."""
    first = await service.sign_in()
    second = await service.sign_in_again(first)
    await service.sign_in()
    body = await listed(first)
    assert body["next_cursor"] is None
    assert [item["id"] for item in body["items"]] == [claims(second)["sid"], claims(first)["sid"]]
    assert [item["current"] for item in body["items"]] == [False, True]
    assert all(
        item.keys() == {"id", "created_at", "last_used_at", "user_agent", "client", "current"}
        and item["user_agent"].startswith("python-httpx")
        and item["client"] is None
        and item["created_at"].endswith("Z")
        for item in body["items"]
    )


async def test_the_list_is_paginated(service: Service) -> None:
    person = await service.sign_in()
    made = [person, *[await service.sign_in_again(person) for _ in range(4)]]
    seen, cursor = [], None
    for size in (2, 2, 1):
        body = await listed(person, limit=2, **({"cursor": cursor} if cursor else {}))
        assert len(body["items"]) == size
        seen += [item["id"] for item in body["items"]]
        cursor = body["next_cursor"]
    assert cursor is None
    assert seen == [claims(each)["sid"] for each in reversed(made)]


async def test_refreshing_updates_last_used_at(service: Service) -> None:
    person = await service.sign_in()
    service.clock.move(minutes=5)
    item = (await listed(await rotated(person)))["items"][0]
    assert item["last_used_at"] > item["created_at"]


async def test_expired_sessions_are_not_listed(service: Service) -> None:
    person = await service.sign_in()
    service.clock.move(days=31)
    again = await service.sign_in_again(person)
    assert [item["current"] for item in (await listed(again))["items"]] == [True]


# Ending


async def test_ending_another_session_ends_only_that_one(service: Service) -> None:
    here = await service.sign_in()
    there = await service.sign_in_again(here)
    response = await here.call("DELETE", f"/sessions/{claims(there)['sid']}")
    assert (response.status_code, response.content) == (204, b"")
    await assert_ended(there)
    assert len((await listed(here))["items"]) == 1
    again = await here.call("DELETE", f"/sessions/{claims(there)['sid']}")
    refused(again, 404, "not_found")


async def test_ending_the_current_session(service: Service) -> None:
    person = await service.sign_in()
    assert (await person.call("DELETE", f"/sessions/{claims(person)['sid']}")).is_success
    await assert_ended(person)


async def test_another_users_session_cannot_be_ended(service: Service) -> None:
    person, stranger = await service.sign_in(), await service.sign_in()
    path = f"/sessions/{claims(person)['sid']}"
    refused(await stranger.call("DELETE", path), 404, "not_found")
    ok(await person.call("GET", "/profile"))


async def test_ending_an_unknown_session_is_not_found(service: Service) -> None:
    person = await service.sign_in()
    for session_id in ("x", "0", str(UUID(int=0)), "%00", "%FF", "..."):
        refused(await person.call("DELETE", f"/sessions/{session_id}"), 404, "not_found")


async def test_ending_all_sessions_ends_only_the_users_own(service: Service) -> None:
    here, stranger = await service.sign_in(), await service.sign_in()
    there = await service.sign_in_again(here)
    assert (await here.call("DELETE", "/sessions")).status_code == 204
    await assert_ended(here)
    await assert_ended(there)
    ok(await stranger.call("GET", "/profile"))


async def test_logout_ends_the_session(service: Service) -> None:
    person = await service.sign_in()
    other = await service.sign_in_again(person)
    for _ in range(2):
        response = await service.post("/auth/logout", refresh_token=person.tokens["refresh_token"])
        assert (response.status_code, response.content) == (204, b"")
    await assert_ended(person)
    ok(await other.call("GET", "/profile"))


async def test_logout_with_a_replaced_token_ends_the_session(service: Service) -> None:
    """Any token of the session will do."""
    person = await service.sign_in()
    live = await rotated(await rotated(person))
    response = await service.post("/auth/logout", refresh_token=person.tokens["refresh_token"])
    assert response.status_code == 204
    await assert_ended(live)


async def test_malformed_refresh_tokens(service: Service) -> None:
    """They refresh nothing, and signing out with them is not an error."""
    for token in ("x", "", "A" * 86, "\u0660", "A" * 5000, "a.b.c"):
        assert (await service.post("/auth/logout", refresh_token=token)).status_code == 204
        response = await service.post("/auth/refresh", refresh_token=token)
        refused(response, 401, "invalid_refresh_token")
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_logout_with_a_forged_token_ends_nothing(service: Service) -> None:
    person = await service.sign_in()
    forged = encoded(decoded(person.tokens["refresh_token"])[:16] + secrets.token_bytes(48))
    assert (await service.post("/auth/logout", refresh_token=forged)).status_code == 204
    ok(await person.refresh())
