"""Access tokens: their lifetime, what is refused, and their public keys."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from jwcrypto.jwk import JWKSet
from jwcrypto.jwt import JWT

from accounts import claims, decoded, encoded
from referral.core import seal
from referral.core.keys import Key, Keyring, Purpose
from referral.storage import users
from support import SECRET, Service, new_phone, ok, refused

INVALID_TOKEN = 'Bearer error="invalid_token"'


def signed(key: Key, typ: str = "at+jwt", **payload: Any) -> str:
    return seal.sign(json.dumps(payload).encode(), key, typ=typ)


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
    other_payload = encoded(decoded(payload).replace(b'"sub":"', b'"sub":"0'))
    unsigned = encoded(json.dumps({"alg": "none", "typ": "at+jwt", "kid": key.kid}).encode())
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
    of_access, of_ids = response.json()["keys"]
    assert of_access.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert of_access.items() >= {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig"}.items()
    assert of_ids.keys() == {"kty", "n", "e", "kid", "alg", "use"}
    assert of_ids.items() >= {"kty": "RSA", "alg": "RS256", "use": "sig"}.items()
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
    usual = {"iss", "aud", "client_id", "sub", "sid", "iat", "exp", "jti"}
    assert body.keys() == {*usual, "scope", "auth_time", "amr"}
    assert (body["scope"], body["auth_time"], body["amr"]) == ("account", body["iat"], [])
    assert body["exp"] - body["iat"] == 900
    assert person.phone.removeprefix("+") not in token.claims
    # `sub` distinguishes users and reveals nothing else
    assert body["sub"] != claims(await service.sign_in())["sub"]
