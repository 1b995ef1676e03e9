"""The requests to the peers, made by their rules, and the peers' users."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx

import postgres
import rows
from material import API, CHALLENGE, CODE, SCOPES, exchange, get, new_phones, post
from referral.assembly import system_clock
from servers import CLIENT_ID, REDIRECT_URI, Server

_random = random.Random(2)  # noqa: S311 - the same load each time


class Twin:
    """Requests to the twin. Its users sign in over its API."""

    def __init__(self, server: Server, url: str) -> None:
        self._server, self._url = server, url
        self._sign_ins: list[dict[str, Any]] = []
        self._sent: list[dict[str, Any]] = []

    async def prepare(self) -> None:
        """Create its users, with as many invitees as the service's users have, and sign them in."""
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
        """Make sign-ins. Each works repeatedly, because the twin stores nothing of a challenge."""
        return [post(f"{API}/auth/verify", each) for each in self._sent]

    async def stored_send_codes(self, number: int) -> list[bytes]:
        """Make sends to the route that stores its codes in a table."""
        return [post("/stored/auth/send-code", {"phone": next(new_phones)}) for _ in range(number)]

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
    """Requests to better-auth. Its codes are written into its own table."""

    API = "/api/auth"

    def __init__(self, server: Server, url: str) -> None:
        self._server, self._url = server, url

    async def prepare(self) -> None:
        await postgres.execute(self._url, _BETTER_AUTH_USERS)

    async def send_codes(self, number: int) -> list[bytes]:
        return [
            post(f"{self.API}/phone-number/send-otp", {"phoneNumber": next(new_phones)})
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
        """Make reads of the session and its user: better-auth has no profile with invitees."""
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


class BetterAuthProvider:
    """Requests to better-auth's OpenID Connect provider. Its codes are written into its table."""

    _USERS = 1000

    def __init__(self, url: str) -> None:
        self._url = url

    async def prepare(self) -> None:
        """Create users, each with the session of a browser."""
        await postgres.execute(self._url, _PROVIDER_USERS.format(users=self._USERS))
        await postgres.execute(self._url, _PROVIDER_SESSIONS.format(users=self._USERS))

    async def exchanges(self, number: int) -> list[bytes]:
        codes = [secrets.token_urlsafe(24) for _ in range(number)]
        now = system_clock()
        await postgres.execute(self._url, "TRUNCATE verification")
        await postgres.copy(
            self._url,
            "verification",
            ["id", "identifier", "value", "expiresAt", "createdAt", "updatedAt"],
            [
                (
                    uuid4().hex,
                    urlsafe_b64encode(sha256(code.encode()).digest()).decode().rstrip("="),
                    self._code_of(_random.randint(1, self._USERS)),
                    now + timedelta(minutes=10),
                    now,
                    now,
                )
                for code in codes
            ],
        )
        return [exchange("/api/auth/oauth2/token", code) for code in codes]

    def _code_of(self, user: int) -> str:
        """Return what better-auth stores of a code."""
        return json.dumps(
            {
                "type": "authorization_code",
                "query": {
                    "response_type": "code",
                    "client_id": CLIENT_ID,
                    "redirect_uri": REDIRECT_URI,
                    "scope": " ".join(SCOPES),
                    "code_challenge": CHALLENGE,
                    "code_challenge_method": "S256",
                },
                "userId": f"user {user}",
                "sessionId": f"session {user}",
                "authTime": 1_700_000_000_000,
            }
        )


_PROVIDER_USERS = """
    INSERT INTO "user" (id, name, email, "emailVerified", "createdAt", "updatedAt")
    SELECT 'user ' || i, 'Anna ' || i, 'anna' || i || '@example.com', true, now(), now()
    FROM generate_series(1, {users}) AS i
"""
_PROVIDER_SESSIONS = """
    INSERT INTO session (id, token, "userId", "expiresAt", "createdAt", "updatedAt")
    SELECT 'session ' || i, 'token ' || i, 'user ' || i, now() + interval '7 days', now(), now()
    FROM generate_series(1, {users}) AS i
"""
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
