"""The requests that are sent: whole ones, made before the run under the keys of its servers.

A sign-in and a refresh can be done once each, so a run gets as many as it can use up.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from itertools import count
from typing import Any
from uuid import uuid4

import httpx

import postgres
import rows
from referral.app import system_clock
from referral.core import challenge, tokens
from referral.core.keys import Keyring, Purpose
from referral.core.tokens import Issuer, RefreshToken
from servers import PUBLIC_URL, SECRET, Server

DAY = 86_400
CODE = "0391"
ONE_ADDRESS = "203.0.113.7"
USER_AGENT = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36"
API = "/api/v1"

# Phones that nobody has and that may exist; each is sent to once
_new_phones = (f"+7999{number:07}" for number in count(1))
_random = random.Random(1)  # noqa: S311 - the same load each time
_keys = Keyring([SECRET.encode()])
_issuer = Issuer(url=PUBLIC_URL, audience=PUBLIC_URL, access_life=DAY)


def get(path: str, **headers: str) -> bytes:
    return _request("GET", path, b"", headers)


def post(path: str, body: dict[str, Any], **headers: str) -> bytes:
    content = json.dumps(body).encode()
    headers |= {"content-type": "application/json", "content-length": str(len(content))}
    return _request("POST", path, content, headers)


def send_codes(number: int, *, address: str | None = None) -> list[bytes]:
    """Each for a phone of its own; from one address, or each from its own."""
    return [
        post(
            f"{API}/auth/send-code",
            {"phone": next(_new_phones)},
            x_forwarded_for=address or _address(),
        )
        for _ in range(number)
    ]


def verifications(number: int, *, users: int, address: str | None = None) -> list[bytes]:
    """Of users taken at random, with right codes, asked for from the address they come from."""
    now = system_clock()
    requests = []
    for _ in range(number):
        caller = address or _address()
        token = challenge.issue(
            purpose=Purpose.SIGN_IN,
            phone=rows.phone(_random.randint(1, users)),
            code=CODE,
            life=DAY,
            now=now,
            keys=_keys,
            token_bytes=secrets.token_bytes,
            address=caller,
        )
        body = {"token": token, "code": CODE}
        requests.append(post(f"{API}/auth/verify", body, x_forwarded_for=caller))
    return requests


async def refreshes(url: str, number: int, *, users: int) -> list[bytes]:
    """Of so many new sessions."""
    started = await _sessions(url, [_random.randint(1, users) for _ in range(number)])
    return [
        post(f"{API}/auth/refresh", {"refresh_token": token.text}, x_forwarded_for=_address())
        for token in started
    ]


async def reads(url: str, path: str, users: Sequence[int]) -> list[bytes]:
    """GETs of this path by these users, each signed in with a session of their own."""
    return [
        get(
            API + path,
            authorization="Bearer "
            + tokens.issue_access(
                user_id=str(rows.user_id(user)),
                session_id=str(token.session_id),
                issuer=_issuer,
                now=system_clock(),
                keys=_keys,
                token_bytes=secrets.token_bytes,
            ),
            x_forwarded_for=_address(),
        )
        for user, token in zip(users, await _sessions(url, users), strict=True)
    ]


async def _sessions(url: str, users: Sequence[int]) -> list[RefreshToken]:
    """New sessions of these users, and their refresh tokens."""
    now = system_clock()
    started = [tokens.new_refresh(uuid4(), token_bytes=secrets.token_bytes) for _ in users]
    await postgres.copy(
        url,
        "sessions",
        [
            *("id", "user_id", "family_digest", "refresh_digest", "user_agent"),
            *("created_at", "last_used_at"),
        ],
        [
            (
                token.session_id,
                rows.user_id(user),
                tokens.family_digest(token),
                tokens.digest(token),
                USER_AGENT,
                now,
                now,
            )
            for user, token in zip(users, started, strict=True)
        ],
    )
    return started


class Twin:
    """Requests to the twin, whose users sign in at its own front door."""

    def __init__(self, server: Server, url: str) -> None:
        self._server, self._url = server, url
        self._sign_ins: list[dict[str, Any]] = []
        self._sent: list[dict[str, Any]] = []

    async def prepare(self) -> None:
        """Its users, with invitees as the service's have them, all signed in."""
        await postgres.execute(self._url, _TWIN_USERS)
        limits = httpx.Limits(max_connections=8)
        base = f"http://127.0.0.1:{self._server.port}{API}/auth"
        async with httpx.AsyncClient(limits=limits, timeout=60) as http:

            async def sign_in(user: int) -> None:
                sent = (
                    await http.post(f"{base}/send-code", json={"phone": rows.phone(user)})
                ).json()
                body = {"token": sent["token"], "code": sent["code"]}
                answer = await http.post(f"{base}/verify", json=body)
                self._sent.append(body)
                self._sign_ins.append(answer.raise_for_status().json())

            await asyncio.gather(*(sign_in(user) for user in range(1, rows.PROFILES + 1)))

    def reads(self) -> list[bytes]:
        return [
            get(f"{API}/profile", authorization=f"Bearer {each['access_token']}")
            for each in self._sign_ins
        ]

    def verifications(self) -> list[bytes]:
        """It remembers nothing of a challenge, so each is as good again."""
        return [post(f"{API}/auth/verify", each) for each in self._sent]

    async def refreshes(self, number: int) -> list[bytes]:
        texts = [secrets.token_urlsafe(32) for _ in range(number)]
        records: list[tuple[object, ...]] = [
            (
                uuid4(),
                rows.user_id(_random.randint(1, rows.PROFILES)),
                sha256(text.encode()).hexdigest(),
                0.0,
            )
            for text in texts
        ]
        columns = ["id", "user_id", "refresh_digest", "created_at"]
        await postgres.copy(self._url, "sessions", columns, records)
        return [post(f"{API}/auth/refresh", {"refresh_token": text}) for text in texts]


class BetterAuth:
    """Requests to better-auth, whose codes are put where it would have put them."""

    API = "/api/auth"

    def __init__(self, server: Server, url: str) -> None:
        self._server, self._url = server, url

    async def prepare(self) -> None:
        await postgres.execute(self._url, _BETTER_AUTH_USERS)

    def send_codes(self, number: int) -> list[bytes]:
        return [
            post(f"{self.API}/phone-number/send-otp", {"phoneNumber": next(_new_phones)})
            for _ in range(number)
        ]

    async def verifications(self, number: int) -> list[bytes]:
        phones = [rows.phone(user) for user in range(1, min(number, BETTER_AUTH_USERS) + 1)]
        now = system_clock()
        await postgres.execute(self._url, "TRUNCATE verification")
        await postgres.copy(
            self._url,
            "verification",
            ["id", "identifier", "value", "expiresAt", "createdAt", "updatedAt"],
            [
                (
                    uuid4().hex,
                    f"phone-number-otp-{phone}",
                    f"{CODE}:0",
                    now + timedelta(days=1),
                    now,
                    now,
                )
                for phone in phones
            ],
        )
        return [
            post(f"{self.API}/phone-number/verify", {"phoneNumber": phone, "code": CODE})
            for phone in phones
        ]

    async def reads(self) -> list[bytes]:
        """Of the session and its user: it has no profile with invitees."""
        requests = (await self.verifications(rows.PROFILES))[:100]
        base = f"http://127.0.0.1:{self._server.port}{self.API}"
        cookies = []
        async with httpx.AsyncClient(timeout=60) as http:
            for request in requests:
                body = json.loads(request.partition(b"\r\n\r\n")[2])
                answer = await http.post(f"{base}/phone-number/verify", json=body)
                answer.raise_for_status()
                cookies.append(answer.headers["set-cookie"].partition(";")[0])
                http.cookies.clear()
        return [get(f"{self.API}/get-session", cookie=cookie) for cookie in cookies]


BETTER_AUTH_USERS = 20_000
_BETTER_AUTH_USERS = f"""
    INSERT INTO "user" (id, name, email, "emailVerified", "createdAt", "updatedAt",
                        "phoneNumber", "phoneNumberVerified")
    SELECT md5('user ' || i), 'Anna ' || i, 'anna' || i || '@example.com', true, now(), now(),
           '+7' || 9000000000 + i, true
    FROM generate_series(1, {BETTER_AUTH_USERS}) AS i
"""  # noqa: S608 - our own number
_TWIN_USERS = f"""
    INSERT INTO users (id, phone, name, email, invite_code, inviter_id, invitee_count, created_at)
    SELECT CAST(md5('user ' || i) AS UUID), '+7' || 9000000000 + i, 'Anna ' || i,
           'anna' || i || '@example.com', lpad(upper(to_hex(i)), 6, '0'),
           CASE WHEN i > {rows.PROFILES} THEN
               CAST(md5('user ' || (i - 1) % {rows.PROFILES} + 1) AS UUID) END,
           CASE WHEN i > {rows.PROFILES} THEN 0 ELSE {rows.INVITEES_OF_EACH} END, i
    FROM generate_series(1, {rows.PROFILES * (1 + rows.INVITEES_OF_EACH)}) AS i
"""  # noqa: S608 - our own numbers


def _address() -> str:
    return ".".join(str(_random.randint(1, 223)) for _ in range(4))


def _request(method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: 127.0.0.1",
        f"user-agent: {USER_AGENT}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
