"""Sessions: the list, the ways they end, refresh tokens, access tokens and their public keys."""

from __future__ import annotations

import asyncio
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any
from uuid import UUID

import pytest
from jwcrypto.jwk import JWKSet
from jwcrypto.jwt import JWT

from referral.core import seal
from referral.core.keys import Key, Keyring, Purpose
from referral.storage import users
from support import SECRET, Person, Service, new_phone, ok, refused

INVALID_TOKEN = 'Bearer error="invalid_token"'


def raw(refresh_token: str) -> bytes:
    return urlsafe_b64decode(refresh_token + "==")


def text(raw_token: bytes) -> str:
    return urlsafe_b64encode(raw_token).rstrip(b"=").decode()


def claims(person: Person) -> dict[str, Any]:
    """The claims of the access token, as anybody can read them."""
    part = person.tokens["access_token"].split(".")[1]
    parsed: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=="))
    return parsed


def signed(key: Key, typ: str = "at+jwt", **payload: Any) -> str:
    return seal.sign(json.dumps(payload).encode(), key, typ=typ)


async def ended(person: Person) -> None:
    """Neither token of this session is good."""
    refused(await person.call("GET", "/profile"), 401, "unauthorized")
    refused(await person.refresh(), 401, "invalid_refresh_token")


async def listed(person: Person, **query: Any) -> dict[str, Any]:
    return ok(await person.call("GET", "/sessions", params=query))


async def rotated(person: Person) -> Person:
    """The same session with its next tokens."""
    return Person(person.http, person.phone, ok(await person.refresh()), is_new=False)


# The list


async def test_the_list_marks_the_session_that_asks(service: Service) -> None:
    """Newest first; each has the user agent that signed in, and no secret."""
    first = await service.sign_in()
    second = await service.sign_in_again(first)
    await service.sign_in()
    body = await listed(first)
    assert body["next_cursor"] is None
    assert [item["id"] for item in body["items"]] == [claims(second)["sid"], claims(first)["sid"]]
    assert [item["current"] for item in body["items"]] == [False, True]
    assert all(
        item.keys() == {"id", "created_at", "last_used_at", "user_agent", "current"}
        and item["user_agent"].startswith("python-httpx")
        and item["created_at"].endswith("Z")
        for item in body["items"]
    )


async def test_the_list_comes_in_pages(service: Service) -> None:
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


async def test_refreshing_moves_last_used_at(service: Service) -> None:
    person = await service.sign_in()
    service.clock.move(minutes=5)
    item = (await listed(await rotated(person)))["items"][0]
    assert item["last_used_at"] > item["created_at"]


# Ending


async def test_ending_another_session_acts_at_once_on_it_alone(service: Service) -> None:
    here = await service.sign_in()
    there = await service.sign_in_again(here)
    response = await here.call("DELETE", f"/sessions/{claims(there)['sid']}")
    assert (response.status_code, response.content) == (204, b"")
    await ended(there)
    assert len((await listed(here))["items"]) == 1
    again = await here.call("DELETE", f"/sessions/{claims(there)['sid']}")
    refused(again, 404, "not_found")


async def test_ending_this_session_acts_at_once(service: Service) -> None:
    person = await service.sign_in()
    assert (await person.call("DELETE", f"/sessions/{claims(person)['sid']}")).is_success
    await ended(person)


async def test_nobody_ends_a_strangers_session(service: Service) -> None:
    person, stranger = await service.sign_in(), await service.sign_in()
    path = f"/sessions/{claims(person)['sid']}"
    refused(await stranger.call("DELETE", path), 404, "not_found")
    ok(await person.call("GET", "/profile"))


async def test_no_such_session(service: Service) -> None:
    person = await service.sign_in()
    for session_id in ("x", "0", str(UUID(int=0)), "%00", "%FF", "..."):
        refused(await person.call("DELETE", f"/sessions/{session_id}"), 404, "not_found")


async def test_ending_all_sessions_ends_this_one_and_no_strangers(service: Service) -> None:
    here, stranger = await service.sign_in(), await service.sign_in()
    there = await service.sign_in_again(here)
    assert (await here.call("DELETE", "/sessions")).status_code == 204
    await ended(here)
    await ended(there)
    ok(await stranger.call("GET", "/profile"))


async def test_logout_ends_the_session_at_once(service: Service) -> None:
    person = await service.sign_in()
    other = await service.sign_in_again(person)
    for _ in range(2):
        response = await service.post("/auth/logout", refresh_token=person.tokens["refresh_token"])
        assert (response.status_code, response.content) == (204, b"")
    await ended(person)
    ok(await other.call("GET", "/profile"))


async def test_logout_with_a_token_used_before_ends_the_session(service: Service) -> None:
    """Whoever signs out means it, whichever of the tokens is at hand."""
    person = await service.sign_in()
    live = await rotated(await rotated(person))
    response = await service.post("/auth/logout", refresh_token=person.tokens["refresh_token"])
    assert response.status_code == 204
    await ended(live)


async def test_what_is_no_refresh_token(service: Service) -> None:
    """It refreshes nothing, and signing out with it is no error."""
    for token in ("x", "", "A" * 86, "\u0660", "A" * 5000, "a.b.c"):
        assert (await service.post("/auth/logout", refresh_token=token)).status_code == 204
        response = await service.post("/auth/refresh", refresh_token=token)
        refused(response, 401, "invalid_refresh_token")
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_logout_of_a_session_guessed_by_its_id_ends_nothing(service: Service) -> None:
    person = await service.sign_in()
    forged = text(raw(person.tokens["refresh_token"])[:16] + secrets.token_bytes(48))
    assert (await service.post("/auth/logout", refresh_token=forged)).status_code == 204
    ok(await person.refresh())


# Refresh tokens


async def test_refresh_rotates(service: Service) -> None:
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


async def test_the_predecessor_answers_with_the_live_token_for_30_seconds(
    service: Service,
) -> None:
    """A lost answer is asked for anew, and gets the same token, byte for byte."""
    person = await service.sign_in()
    live = await rotated(person)
    for _ in range(2):
        service.clock.move(seconds=14)
        again = ok(await person.refresh())
        assert again["refresh_token"] == live.tokens["refresh_token"]
    ok(await live.refresh())


async def test_a_lost_answer_is_made_good_three_times_in_a_day(service: Service) -> None:
    """After 30 seconds with another live token; the one it replaces is an older one then."""
    person = await service.sign_in()
    live = [person.tokens["refresh_token"], ok(await person.refresh())["refresh_token"]]
    service.clock.move(seconds=20)
    # Asking in between makes the 30 seconds no longer
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
    # The direct predecessor now is the token that was refreshed just before, and it is late
    refused(await person.refresh(live[-1]), 401, "invalid_refresh_token")
    await ended(last)


async def test_the_fourth_late_repeat_of_a_token_ends_the_session(service: Service) -> None:
    person = await service.sign_in()
    for _ in range(4):
        live = await rotated(person)
        service.clock.move(seconds=31)
    refused(await person.refresh(), 401, "invalid_refresh_token")
    await ended(live)


async def test_a_day_later_late_repeats_are_good_again(service: Service) -> None:
    person = await service.sign_in()
    await rotated(person)
    for _ in range(2):
        service.clock.move(hours=24)
        for _ in range(3):
            await rotated(person)
            service.clock.move(seconds=31)
    refused(await person.refresh(), 401, "invalid_refresh_token")


async def test_what_a_late_repeat_replaced_ends_the_session(service: Service) -> None:
    person = await service.sign_in()
    lost = await rotated(person)
    service.clock.move(seconds=31)
    live = await rotated(person)
    refused(await lost.refresh(), 401, "invalid_refresh_token")
    await ended(live)


async def test_after_a_late_repeat_the_session_goes_on(service: Service) -> None:
    """What it gave rotates as any other; what was repeated is an older one then."""
    person = await service.sign_in()
    await rotated(person)
    service.clock.move(hours=2)
    live = await rotated(await rotated(person))
    ok(await live.call("GET", "/profile"))
    live = await rotated(live)
    refused(await person.refresh(), 401, "invalid_refresh_token")
    await ended(live)


async def test_late_repeats_side_by_side_get_one_live_token(service: Service) -> None:
    """They count once: two more are good."""
    person = await service.sign_in()
    await rotated(person)
    service.clock.move(seconds=31)
    answers = await asyncio.gather(*(person.refresh() for _ in range(20)))
    assert len({ok(answer)["refresh_token"] for answer in answers}) == 1
    for _ in range(2):
        service.clock.move(seconds=31)
        ok(await person.refresh())
    service.clock.move(seconds=31)
    refused(await person.refresh(), 401, "invalid_refresh_token")


async def test_a_stolen_token_used_after_its_owner_moved_on_ends_the_session(
    service: Service,
) -> None:
    """Any token but the live one and its predecessor, however young."""
    person = await service.sign_in()
    live = await rotated(await rotated(person))
    refused(await person.refresh(), 401, "invalid_refresh_token")
    await ended(live)


async def test_reuse_ends_that_session_alone(service: Service) -> None:
    person = await service.sign_in()
    other = await service.sign_in_again(person)
    await rotated(await rotated(person))
    refused(await person.refresh(), 401, "invalid_refresh_token")
    ok(await other.refresh())


async def test_a_guessed_session_id_does_not_end_the_session(service: Service) -> None:
    """Nor does one with another session's family: an id alone is no secret."""
    person, thief = await service.sign_in(), await service.sign_in()
    session_id = raw(person.tokens["refresh_token"])[:16]
    own = raw(thief.tokens["refresh_token"])
    for rest in (secrets.token_bytes(48), bytes(48), own[16:]):
        refused(await person.refresh(text(session_id + rest)), 401, "invalid_refresh_token")
    ok(await person.call("GET", "/profile"))
    ok(await person.refresh())


async def test_other_spellings_of_a_refresh_token_are_no_token(service: Service) -> None:
    """And they do not end the session as reuse would."""
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
async def test_no_other_token_refreshes(service: Service, kind: str) -> None:
    person = await service.sign_in()
    refused(await person.refresh(person.tokens[kind]), 401, "invalid_refresh_token")


async def test_a_session_ends_30_days_after_its_last_use(service: Service) -> None:
    person = await service.sign_in()
    for _ in range(2):
        service.clock.move(days=29, hours=23)
        person = await rotated(person)
    service.clock.move(days=30)
    await ended(person)


async def test_a_session_ends_after_180_days_however_much_it_is_used(service: Service) -> None:
    """Its last access token ends with it."""
    person = await service.sign_in()
    for _ in range(6):
        service.clock.move(days=29, hours=23)
        person = await rotated(person)
    service.clock.move(hours=5, minutes=59)
    person = await rotated(person)
    ok(await person.call("GET", "/profile"))
    service.clock.move(minutes=2)
    await ended(person)


async def test_sessions_that_ran_out_leave_the_list(service: Service) -> None:
    person = await service.sign_in()
    service.clock.move(days=31)
    again = await service.sign_in_again(person)
    assert [item["current"] for item in (await listed(again))["items"]] == [True]


# Access tokens


async def test_an_access_token_ends_after_15_minutes(service: Service) -> None:
    person = await service.sign_in()
    service.clock.move(minutes=14, seconds=50)
    ok(await person.call("GET", "/profile"))
    service.clock.move(seconds=11)
    response = await person.call("GET", "/profile")
    refused(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == INVALID_TOKEN


async def test_the_scheme_is_read_in_any_case(service: Service) -> None:
    """RFC 9110, section 11.1."""
    person = await service.sign_in()
    token = person.tokens["access_token"]
    ok(await service.get("/api/v1/profile", authorization=f"bearer {token}"))


async def test_headers_that_are_no_access_token(service: Service) -> None:
    person = await service.sign_in()
    sent = await service.send_code(new_phone())
    good = person.tokens["access_token"]
    key = Keyring([SECRET.encode()]).current(Purpose.ACCESS)
    foreign = Keyring([b"another secret of 32 bytes or more 0123456789"]).current(Purpose.ACCESS)
    header, payload, signature = good.split(".")
    other_payload = text(raw(payload).replace(b'"sub":"', b'"sub":"0'))
    unsigned = text(json.dumps({"alg": "none", "typ": "at+jwt", "kid": key.kid}).encode())
    bad: list[list[str]] = [
        [f"Bearer {good}", f"Bearer {good}"],
        [f"Basic {good}"],
        ["Bearer"],
        ["Bearer "],
        [good],
        [f"Bearer {good} {good}"],
        *(
            [f"Bearer {token}"]
            for token in (
                "x",
                "a.b.c",
                "é.é.é",
                good + "=",
                good[:-2],
                f"{header}.{other_payload}.{signature}",
                f"{unsigned}.{payload}.",
                f"{header}.{payload}.",
                "A" * 10_000,
                person.tokens["refresh_token"],
                person.tokens["device_token"],
                sent["token"],
                # Made with the very key: another kind of token, another maker, another user
                signed(key, "JWT", **claims(person)),
                signed(foreign, **claims(person)),
                signed(key, **{**claims(person), "iss": "https://elsewhere.example"}),
                signed(key, **{**claims(person), "aud": "elsewhere"}),
                signed(key, **{**claims(person), "exp": 1}),
                signed(key, **{**claims(person), "sid": str(UUID(int=0))}),
            )
        ),
    ]
    for values in bad:
        headers = [(b"authorization", value.encode()) for value in values]
        response = await service.http.get("/api/v1/profile", headers=headers)
        refused(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == INVALID_TOKEN


async def test_no_token_at_all(service: Service) -> None:
    """The challenge then names no error (RFC 6750, section 3.1)."""
    response = await service.get("/api/v1/profile")
    refused(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_what_needs_a_sign_in_and_ends_with_a_block(service: Service) -> None:
    """401 without a token; for a blocked account 403, at once, before the body is looked at."""
    person = await service.sign_in()
    await users.set_fields(UUID(claims(person)["sub"]), is_blocked=True)
    for method, path in (
        ("GET", "/profile"),
        ("PUT", "/profile"),
        ("PATCH", "/profile"),
        ("DELETE", "/profile"),
        ("POST", "/profile/phone/send-code"),
        ("PUT", "/profile/phone"),
        ("PUT", "/profile/inviter"),
        ("GET", "/profile/invitees"),
        ("GET", "/profile/invite.svg"),
        ("GET", "/profile/invite.png"),
        ("GET", "/sessions"),
        ("DELETE", "/sessions"),
        ("DELETE", f"/sessions/{UUID(int=0)}"),
    ):
        response = await service.http.request(method, f"/api/v1{path}", content=b"{")
        refused(response, 401, "unauthorized")
        refused(await person.call(method, path, content=b"{"), 403, "account_blocked")


async def test_a_blocked_account_neither_refreshes_nor_signs_in(service: Service) -> None:
    """send-code does not tell; the challenge is as good as before when the block is lifted."""
    person = await service.sign_in()
    user_id = UUID(claims(person)["sub"])
    await users.set_fields(user_id, is_blocked=True)
    refused(await person.refresh(), 403, "account_blocked")
    service.clock.move(seconds=3)
    sent = await service.send_code(person.phone)
    for _ in range(4):
        refused(await service.verify(sent), 403, "account_blocked")
    await users.set_fields(user_id, is_blocked=False)
    assert (await service.verify(sent)).status_code == 200


async def test_another_service_checks_an_access_token_by_the_public_keys(
    service: Service,
) -> None:
    """RFC 9068: the type, the claims, and nothing private in the keys."""
    person = await service.sign_in()
    response = await service.get("/.well-known/jwks.json")
    ok(response)
    assert all(
        key.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
        and (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
        for key in response.json()["keys"]
    )
    token = JWT(
        jwt=person.tokens["access_token"],
        key=JWKSet.from_json(response.text),
        algs=["ES256"],
        check_claims={
            "iss": "http://127.0.0.1:8000",
            "aud": "http://127.0.0.1:8000",
            "client_id": "http://127.0.0.1:8000",
            "sub": None,
            "sid": None,
            "exp": None,
            "iat": None,
            "jti": None,
        },
    )
    assert json.loads(token.header)["typ"] == "at+jwt"
    body = json.loads(token.claims)
    assert body.keys() == {"iss", "aud", "client_id", "sub", "sid", "iat", "exp", "jti"}
    assert body["exp"] - body["iat"] == 900
    assert person.phone.removeprefix("+") not in token.claims
    # A blocked or deleted sub can be told from another; nothing else about it can
    assert body["sub"] != claims(await service.sign_in())["sub"]
