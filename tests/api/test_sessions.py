"""Sessions: listing, ending, refresh tokens, access tokens and their public keys."""

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
    """Return the claims of the access token, unverified."""
    part = person.tokens["access_token"].split(".")[1]
    parsed: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=="))
    return parsed


def signed(key: Key, typ: str = "at+jwt", **payload: Any) -> str:
    return seal.sign(json.dumps(payload).encode(), key, typ=typ)


async def ended(person: Person) -> None:
    """Check that neither token of the session works."""
    refused(await person.call("GET", "/profile"), 401, "unauthorized")
    refused(await person.refresh(), 401, "invalid_refresh_token")


async def listed(person: Person, **query: Any) -> dict[str, Any]:
    return ok(await person.call("GET", "/sessions", params=query))


async def rotated(person: Person) -> Person:
    """Refresh; return the same session with its next tokens."""
    return Person(person.http, person.phone, ok(await person.refresh()), is_new=False)


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
        item.keys() == {"id", "created_at", "last_used_at", "user_agent", "current"}
        and item["user_agent"].startswith("python-httpx")
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


# Ending


async def test_ending_another_session_ends_only_that_one(service: Service) -> None:
    here = await service.sign_in()
    there = await service.sign_in_again(here)
    response = await here.call("DELETE", f"/sessions/{claims(there)['sid']}")
    assert (response.status_code, response.content) == (204, b"")
    await ended(there)
    assert len((await listed(here))["items"]) == 1
    again = await here.call("DELETE", f"/sessions/{claims(there)['sid']}")
    refused(again, 404, "not_found")


async def test_ending_the_current_session(service: Service) -> None:
    person = await service.sign_in()
    assert (await person.call("DELETE", f"/sessions/{claims(person)['sid']}")).is_success
    await ended(person)


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
    await ended(here)
    await ended(there)
    ok(await stranger.call("GET", "/profile"))


async def test_logout_ends_the_session(service: Service) -> None:
    person = await service.sign_in()
    other = await service.sign_in_again(person)
    for _ in range(2):
        response = await service.post("/auth/logout", refresh_token=person.tokens["refresh_token"])
        assert (response.status_code, response.content) == (204, b"")
    await ended(person)
    ok(await other.call("GET", "/profile"))


async def test_logout_with_a_replaced_token_ends_the_session(service: Service) -> None:
    """Any token of the session will do."""
    person = await service.sign_in()
    live = await rotated(await rotated(person))
    response = await service.post("/auth/logout", refresh_token=person.tokens["refresh_token"])
    assert response.status_code == 204
    await ended(live)


async def test_malformed_refresh_tokens(service: Service) -> None:
    """They refresh nothing, and signing out with them is not an error."""
    for token in ("x", "", "A" * 86, "\u0660", "A" * 5000, "a.b.c"):
        assert (await service.post("/auth/logout", refresh_token=token)).status_code == 204
        response = await service.post("/auth/refresh", refresh_token=token)
        refused(response, 401, "invalid_refresh_token")
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_logout_with_a_forged_token_ends_nothing(service: Service) -> None:
    person = await service.sign_in()
    forged = text(raw(person.tokens["refresh_token"])[:16] + secrets.token_bytes(48))
    assert (await service.post("/auth/logout", refresh_token=forged)).status_code == 204
    ok(await person.refresh())


# Refresh tokens


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
    await ended(last)


async def test_the_fourth_late_repeat_ends_the_session(service: Service) -> None:
    person = await service.sign_in()
    for _ in range(4):
        live = await rotated(person)
        service.clock.move(seconds=31)
    refused(await person.refresh(), 401, "invalid_refresh_token")
    await ended(live)


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
    await ended(live)


async def test_a_session_continues_after_a_late_repeat(service: Service) -> None:
    """The new token rotates like any other; the repeated one is then an older one."""
    person = await service.sign_in()
    await rotated(person)
    service.clock.move(hours=2)
    live = await rotated(await rotated(person))
    ok(await live.call("GET", "/profile"))
    live = await rotated(live)
    refused(await person.refresh(), 401, "invalid_refresh_token")
    await ended(live)


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
    await ended(live)


async def test_reuse_ends_only_that_session(service: Service) -> None:
    person = await service.sign_in()
    other = await service.sign_in_again(person)
    await rotated(await rotated(person))
    refused(await person.refresh(), 401, "invalid_refresh_token")
    ok(await other.refresh())


async def test_refresh_with_a_forged_token_ends_nothing(service: Service) -> None:
    """Nor does one with another session's family: a session's id is not a secret."""
    person, thief = await service.sign_in(), await service.sign_in()
    session_id = raw(person.tokens["refresh_token"])[:16]
    own = raw(thief.tokens["refresh_token"])
    for rest in (secrets.token_bytes(48), bytes(48), own[16:]):
        refused(await person.refresh(text(session_id + rest)), 401, "invalid_refresh_token")
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
    await ended(person)


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
    await ended(person)


async def test_expired_sessions_are_not_listed(service: Service) -> None:
    person = await service.sign_in()
    service.clock.move(days=31)
    again = await service.sign_in_again(person)
    assert [item["current"] for item in (await listed(again))["items"]] == [True]


# Access tokens


async def test_an_access_token_expires_after_15_minutes(service: Service) -> None:
    person = await service.sign_in()
    service.clock.move(minutes=14, seconds=50)
    ok(await person.call("GET", "/profile"))
    service.clock.move(seconds=11)
    response = await person.call("GET", "/profile")
    refused(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == INVALID_TOKEN


async def test_the_scheme_is_case_insensitive(service: Service) -> None:
    """RFC 9110, section 11.1."""
    person = await service.sign_in()
    token = person.tokens["access_token"]
    ok(await service.get("/api/v1/profile", authorization=f"bearer {token}"))


async def test_invalid_authorization_headers(service: Service) -> None:
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
                # With the right key: another type, another key, another issuer, audience or session
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


async def test_a_request_without_a_token(service: Service) -> None:
    """The challenge then names no error (RFC 6750, section 3.1)."""
    response = await service.get("/api/v1/profile")
    refused(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_operations_need_a_token_and_refuse_blocked_users(service: Service) -> None:
    """401 without a token; 403 for a blocked account, before the body is parsed."""
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


async def test_a_blocked_user_neither_refreshes_nor_signs_in(service: Service) -> None:
    """send-code does not reveal the block, and the challenge works once it is lifted."""
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


async def test_access_tokens_verify_with_the_public_keys(
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
    # `sub` distinguishes users and reveals nothing else
    assert body["sub"] != claims(await service.sign_in())["sub"]
