"""Invitations: the rules of activation, races, and the lists."""

from __future__ import annotations

import asyncio
import random
from base64 import urlsafe_b64encode
from typing import Any
from uuid import UUID

import pytest

from referral.storage import database
from support import Person, Service, ok, refused, running

HOSTILE_CURSORS = [
    "",
    "x",
    "null",
    "A" * 5000,
    "\u0660",
    "\0",
    *(
        urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
        for text in (
            "null",
            "[]",
            '["x","y"]',
            '["2026-01-01T00:00:00Z","x"]',
            f'["0001-01-01T00:00:00+23:59","{UUID(int=0)}"]',
            f'["2026-01-01T00:00:00Z","{UUID(int=0)}",' + "[" * 5000,
        )
    ),
    urlsafe_b64encode(b'["\xff"]').rstrip(b"=").decode(),
]


async def sign_up_many(service: Service, size: int) -> list[Person]:
    """Sign up new people in parallel."""
    return await asyncio.gather(*(service.sign_in() for _ in range(size)))


def codes_of(people: list[Person]) -> list[str]:
    return [person.tokens["profile"]["invite_code"] for person in people]


async def chain(service: Service, length: int) -> list[Person]:
    """Sign up people, each invited by the one before."""
    people = [await service.sign_in()]
    while len(people) < length:
        code = people[-1].tokens["profile"]["invite_code"]
        people.append(await service.sign_in(invite_code=code))
    return people


async def pages(person: Person, limit: int) -> list[list[dict[str, Any]]]:
    read: list[list[dict[str, Any]]] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        body = ok(await person.call("GET", "/profile/invitees", params=query))
        read.append(body["items"])
        if body["next_cursor"] is None:
            return read
        query["cursor"] = body["next_cursor"]


async def assert_forest() -> None:
    """Check that there is no loop, and that the counts match the links."""
    rows = await database.query("SELECT id, inviter_id, invitee_count FROM users")
    inviters = {str(row["id"]): row["inviter_id"] and str(row["inviter_id"]) for row in rows}
    for start in inviters:
        seen: set[str] = set()
        at: str | None = start
        while at is not None:
            assert at not in seen
            seen.add(at)
            at = inviters[at]
    counted = {str(row["id"]): row["invitee_count"] for row in rows}
    linked = list(inviters.values())
    assert counted == {user: linked.count(user) for user in inviters}


# The rules


async def test_activation_appears_in_both_profiles(service: Service) -> None:
    inviter, person = await sign_up_many(service, 2)
    code = await inviter.invite_code()
    profile = ok(await person.activate(code))
    assert profile == await person.profile()
    assert profile["activated_invite_code"] == code
    theirs = await inviter.profile()
    assert (theirs["invitees"], theirs["invitee_count"]) == ([person.phone], 1)
    assert theirs["activated_invite_code"] is None


async def test_the_same_code_again_succeeds(service: Service) -> None:
    """In another spelling too, for a client that retries; another code is refused."""
    inviter, other, person = await sign_up_many(service, 3)
    code = await inviter.invite_code()
    first = ok(await person.activate(code))
    for spelling in (code, code.lower(), f" {code[:3]}-{code[3:]} "):
        assert ok(await person.activate(spelling)) == first
    refused(await person.activate(await other.invite_code()), 409, "invite_already_activated")
    assert (await inviter.profile())["invitee_count"] == 1
    assert (await other.profile())["invitee_count"] == 0


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("7KQ2MX", "7kq2mx"),
        ("00V1V0", "ooulUO"),
        ("011VVV", "OiLuUu"),
        ("7KQ2MX", " 7KQ-2MX "),
    ],
)
async def test_look_alike_letters_are_accepted(service: Service, stored: str, typed: str) -> None:
    """Any case; O for 0, I and L for 1, U for V."""
    inviter, person = await sign_up_many(service, 2)
    ours = "UPDATE users SET invite_code = $1 WHERE phone = $2"
    await database.query(ours, stored, inviter.phone)
    seen = ok(await service.get(f"/api/v1/invitations/{typed}"))
    assert seen["invite_code"] == stored
    assert ok(await person.activate(typed))["activated_invite_code"] == stored


async def test_unknown_codes_are_refused(service: Service) -> None:
    person = await service.sign_in()
    for text in (
        "000000",
        "7KQ2M",
        "7KQ2MXX",
        "7KQ2M!",
        "7KQ2M\u0660",
        "\u2167KQ2MX",
        "ß7KQ2M",
        "x" * 5000,
    ):
        refused(await person.activate(text), 404, "unknown_invite_code")
    assert (await person.profile())["activated_invite_code"] is None


async def test_a_blank_code_is_an_invalid_request(service: Service) -> None:
    person = await service.sign_in()
    for text in ("", " "):
        body = refused(await person.activate(text), 400, "invalid_request")
        assert [error["field"] for error in body["errors"]] == ["invite_code"]


@pytest.mark.parametrize(
    "form", ["{}.", "({})", "\u2068{}\u2069", "Join me: http://127.0.0.1:8000/i/{}?utm_source=sms"]
)
async def test_a_code_is_extracted_from_a_message(service: Service, form: str) -> None:
    person, inviter = await service.sign_in(), await service.sign_in()
    code = await inviter.invite_code()
    assert ok(await person.activate(form.format(code)))["activated_invite_code"] == code


async def test_links_with_stray_characters_still_work(service: Service) -> None:
    inviter = await service.sign_in()
    ok(await inviter.call("PUT", "/profile", json={"name": "Anna"}))
    code = await inviter.invite_code()
    for end in (".", ")", "%E2%80%8B", ",", "%22"):
        assert "<bdi>Anna</bdi> invites you" in (await service.get(f"/i/{code}{end}")).text
        found = ok(await service.get(f"/api/v1/invitations/{code}{end}"))
        assert found["invite_code"] == code


async def test_an_inviters_name_with_a_link_is_hidden(service: Service) -> None:
    inviter = await service.sign_in()
    ok(await inviter.call("PUT", "/profile", json={"name": "Win at https://evil.example"}))
    code = await inviter.invite_code()
    assert ok(await service.get(f"/api/v1/invitations/{code}"))["inviter_name"] is None
    assert "evil" not in (await service.get(f"/i/{code}")).text


async def test_own_code_is_refused(service: Service) -> None:
    person = await service.sign_in()
    code = await person.invite_code()
    refused(await person.activate(code.lower()), 409, "own_invite_code")
    await assert_forest()


@pytest.mark.parametrize("distance", [1, 2, 3, 8])
async def test_loops_of_any_length_are_refused(service: Service, distance: int) -> None:
    people = await chain(service, distance + 1)
    refused(await people[0].activate(await people[-1].invite_code()), 409, "invite_loop")
    assert (await people[0].profile())["activated_invite_code"] is None
    await assert_forest()


@pytest.mark.parametrize("seed", range(2))
async def test_random_activations_match_a_model(service: Service, seed: int) -> None:
    """The model is a dictionary of inviters: it predicts refusals and profiles."""
    chance = random.Random(seed)  # noqa: S311 - reproducible
    people = await sign_up_many(service, 12)
    codes = codes_of(people)
    inviters: dict[int, int] = {}
    for _ in range(80):
        who, whose = chance.randrange(12), chance.randrange(12)
        response = await people[who].activate(codes[whose])
        problems = set()
        if who == whose:
            problems.add("own_invite_code")
        elif climbs_to(inviters, whose, who):
            problems.add("invite_loop")
        if who in inviters and inviters[who] != whose:
            problems.add("invite_already_activated")
        if problems:
            assert (response.status_code, response.json()["code"] in problems) == (409, True)
        else:
            ok(response)
            inviters[who] = whose
    for number, person in enumerate(people):
        profile = await person.profile()
        invitees = {people[each].phone for each, whose in inviters.items() if whose == number}
        assert (set(profile["invitees"]), profile["invitee_count"]) == (invitees, len(invitees))
        inviter = inviters.get(number)
        assert profile["activated_invite_code"] == (None if inviter is None else codes[inviter])


def climbs_to(inviters: dict[int, int], start: int, wanted: int) -> bool:
    """Whether `wanted` is `start` or one of its inviters."""
    at: int | None = start
    while at is not None and at != wanted:
        at = inviters.get(at)
    return at == wanted


# Races


async def test_parallel_activations_by_a_user_choose_one_inviter(service: Service) -> None:
    person, *inviters = await sign_up_many(service, 51)
    responses = await asyncio.gather(*(person.activate(code) for code in codes_of(inviters)))
    statuses = [response.status_code for response in responses]
    assert sorted(statuses) == [200] + [409] * 49
    chosen = inviters[statuses.index(200)]
    assert (await person.profile())["activated_invite_code"] == await chosen.invite_code()
    await assert_forest()


async def test_parallel_repeats_of_one_activation_count_once(service: Service) -> None:
    person, inviter = await sign_up_many(service, 2)
    code = await inviter.invite_code()
    responses = await asyncio.gather(*(person.activate(code) for _ in range(20)))
    assert {response.status_code for response in responses} == {200}
    assert (await inviter.profile())["invitee_count"] == 1


async def test_parallel_activations_of_one_code_all_count(service: Service) -> None:
    inviter, *people = await sign_up_many(service, 51)
    code = await inviter.invite_code()
    responses = await asyncio.gather(*(person.activate(code) for person in people))
    assert {response.status_code for response in responses} == {200}
    profile = await inviter.profile()
    assert profile["invitee_count"] == 50
    assert sorted(profile["invitees"]) == sorted(person.phone for person in people)


@pytest.mark.parametrize(("trees", "height"), [(2, 1), (3, 1), (5, 1), (2, 3)])
async def test_trees_that_activate_each_other_form_no_loop(
    service: Service, trees: int, height: int
) -> None:
    """In a ring, each root activates the code of the next tree's leaf: all but one succeed."""
    for _ in range(50 if trees <= 3 and height == 1 else 10):
        ring = await asyncio.gather(*(chain(service, height) for _ in range(trees)))
        lowest = codes_of([tree[-1] for tree in ring])
        responses = await asyncio.gather(
            *(tree[0].activate(lowest[(n + 1) % trees]) for n, tree in enumerate(ring))
        )
        assert sorted(each.status_code for each in responses) == [200] * (trees - 1) + [409]
        (loser,) = (each for each in responses if each.status_code == 409)
        refused(loser, 409, "invite_loop")
    await assert_forest()


async def test_sign_ins_and_activations_race_without_a_loop(service: Service) -> None:
    """An invite code at sign-in takes the same locks as a later activation."""
    for _ in range(20):
        one, other = await sign_up_many(service, 2)
        service.clock.move(seconds=3)
        sent = await service.send_code(one.phone)
        responses = await asyncio.gather(
            service.verify(sent, invite_code=await other.invite_code()),
            other.activate(await one.invite_code()),
        )
        assert sorted(response.status_code for response in responses) == [200, 409]
    await assert_forest()


# The lists


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
async def test_pages_list_each_invitee_once_while_others_activate(
    service: Service, limit: int
) -> None:
    inviter, *people = await sign_up_many(service, 8)
    code = await inviter.invite_code()
    for person in people:
        ok(await person.activate(code))
    seen: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        body = ok(await inviter.call("GET", "/profile/invitees", params=query))
        assert len(body["items"]) <= limit
        seen += body["items"]
        if body["next_cursor"] is None:
            break
        query["cursor"] = body["next_cursor"]
        await service.sign_in(invite_code=code)
    assert [item["phone"] for item in seen] == [person.phone for person in reversed(people)]
    assert all(item.keys() == {"phone", "activated_at"} for item in seen)
    times = [item["activated_at"] for item in seen]
    assert times == sorted(times, reverse=True)
    assert all(time.endswith("Z") for time in times)


async def test_invitees_with_equal_times_are_listed_once(service: Service) -> None:
    inviter, *people = await sign_up_many(service, 9)
    code = await inviter.invite_code()
    for person in people:
        ok(await person.activate(code))
    first = "(SELECT created_at FROM users WHERE phone = $1)"
    moment = f"UPDATE users SET activated_at = {first} WHERE inviter_id IS NOT NULL"  # noqa: S608 - a constant
    await database.query(moment, inviter.phone)
    read = await pages(inviter, 2)
    assert [len(page) for page in read] == [2, 2, 2, 2]
    phones = [item["phone"] for page in read for item in page]
    assert sorted(phones) == sorted(person.phone for person in people)


async def test_the_profile_lists_the_newest_100_invitees(service: Service) -> None:
    inviter, *people = await sign_up_many(service, 104)
    code = await inviter.invite_code()
    for person in people:
        ok(await person.activate(code))
    profile = await inviter.profile()
    newest = [person.phone for person in reversed(people)]
    assert (profile["invitees"], profile["invitee_count"]) == (newest[:100], 103)
    assert [len(page) for page in await pages(inviter, 100)] == [100, 3]
    assert [item["phone"] for item in (await pages(inviter, 1000))[0]] == newest


@pytest.mark.parametrize("path", ["/profile/invitees", "/sessions"])
async def test_invalid_page_limits(service: Service, path: str) -> None:
    person = await service.sign_in()
    for limit in ("0", "1001", "-1", "x", "", "\u0661", "\uff11", "1_0", "+5", "9" * 30):
        response = await person.call("GET", path, params={"limit": limit})
        body = refused(response, 400, "invalid_request")
        assert [error["field"] for error in body["errors"]] == ["limit"]
    for good in ("1", "1000"):
        ok(await person.call("GET", path, params={"limit": good}))


@pytest.mark.parametrize("path", ["/profile/invitees", "/sessions"])
async def test_invalid_cursors(service: Service, path: str) -> None:
    person = await service.sign_in()
    for cursor in HOSTILE_CURSORS:
        response = await person.call("GET", path, params={"cursor": cursor})
        body = refused(response, 400, "invalid_request")
        assert [error["field"] for error in body["errors"]] == ["cursor"]


async def test_another_users_cursor_reveals_nothing(service: Service) -> None:
    inviter, stranger = await sign_up_many(service, 2)
    for _ in range(2):
        await service.sign_in(invite_code=await inviter.invite_code())
    cursor = ok(await inviter.call("GET", "/profile/invitees?limit=1"))["next_cursor"]
    body = ok(await stranger.call("GET", "/profile/invitees", params={"cursor": cursor}))
    assert body == {"items": [], "next_cursor": None}


# Public look-up


async def test_invite_codes_can_be_looked_up_without_a_token(service: Service) -> None:
    """The response has the inviter's name, if there is one, and never the phone."""
    person = await service.sign_in()
    code = await person.invite_code()
    path = f"/api/v1/invitations/{code.lower()}"
    assert ok(await service.get(path)) == {"invite_code": code, "inviter_name": None}
    ok(await person.call("PUT", "/profile", json={"name": "Anna", "email": "anna@example.com"}))
    response = await service.get(path)
    assert response.json() == {"invite_code": code, "inviter_name": "Anna"}
    assert response.headers["cache-control"] == "no-store"


async def test_unknown_invite_codes_are_not_found(service: Service) -> None:
    for text in ("000000", "7KQ2M", "7KQ2M!", "%00", "%FF", "%D9%A0" * 6, "A" * 5000):
        refused(await service.get(f"/api/v1/invitations/{text}"), 404, "unknown_invite_code")


async def test_the_invite_link_follows_the_setting(database_url: str) -> None:
    async with running(database_url, REFERRAL_INVITE_URL="https://a.example/{code}?c={code}") as on:
        profile = await (await on.sign_in()).profile()
        code = profile["invite_code"]
        assert profile["invite_link"] == f"https://a.example/{code}?c={code}"
