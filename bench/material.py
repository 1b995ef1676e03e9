"""The requests of a run: complete, and made before it with the keys of its servers.

A sign-in and a refresh work only once each, so a run gets more than it can send.
"""

from __future__ import annotations

import json
import random
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from itertools import count
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import postgres
import rows
from referral.assembly import system_clock
from referral.core import api_key, challenge, tokens
from referral.core.keys import Keyring, Purpose
from referral.core.proof import Proof
from referral.core.tokens import Authentication, Issuer, RefreshToken
from referral.openid import authorization_code, client_rules
from referral.openid.authorization_request import AuthorizationRequest
from servers import CLIENT_ID, CLIENT_SECRET, PUBLIC_URL, REDIRECT_URI, SECRET

DAY = 86_400
CODE = "0391"
ONE_ADDRESS = "203.0.113.7"
USER_AGENT = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36"
API = "/api/v1"

# Of the app that exchanges authorization codes, at the service and at a peer
SCOPES = ("openid", "offline_access")
VERIFIER = "a-verifier-of-the-benchmark-with-43-characters"
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
_AUTHORIZATION_REQUEST = AuthorizationRequest(
    client_id=CLIENT_ID,
    redirect_uri=REDIRECT_URI,
    scopes=SCOPES,
    code_challenge=CHALLENGE,
    came_at=0,
)
_CLIENT = f"""
    INSERT INTO clients (id, name, redirect_uris, post_logout_redirect_uris, is_public,
                         requires_pkce, account_allowed, secret_digest, created_at)
    VALUES ('{CLIENT_ID}', 'Shop', '{REDIRECT_URI}', '', false, true, false,
            '{client_rules.digest(CLIENT_SECRET)}', now())
    ON CONFLICT DO NOTHING
"""  # noqa: S608 - our own texts

# Phones without an account that are possible numbers; each is used once
new_phones = (f"+7999{number:07}" for number in count(1))
_random = random.Random(1)  # noqa: S311 - the same load each time
_keys = Keyring([SECRET.encode()])
_issuer = Issuer(url=PUBLIC_URL, audience=PUBLIC_URL, access_life=DAY)


def get(path: str, **headers: str) -> bytes:
    return _request("GET", path, b"", headers)


def post(path: str, body: dict[str, Any], **headers: str) -> bytes:
    content = json.dumps(body).encode()
    headers |= {"content-type": "application/json", "content-length": str(len(content))}
    return _request("POST", path, content, headers)


async def send_codes(number: int, *, address: str | None = None) -> list[bytes]:
    """Make sends, each to its own phone, from one address or each from its own."""
    return [
        post(
            f"{API}/auth/send-code",
            {"phone": next(new_phones)},
            x_forwarded_for=address or _address(),
        )
        for _ in range(number)
    ]


async def verifications(number: int, *, users: int, address: str | None = None) -> list[bytes]:
    """Make sign-ins of random users with right codes, from the address that asked for the code."""
    now = system_clock()
    requests = []
    for _ in range(number):
        caller = address or _address()
        token = challenge.issue(
            challenge_id=challenge.new_id(secrets.token_bytes),
            purpose=Purpose.SIGN_IN,
            phone=rows.phone(_random.randint(1, users)),
            code=CODE,
            life=DAY,
            now=now,
            keys=_keys,
            token_bytes=secrets.token_bytes,
            proof=Proof.SENT,
            address=caller,
        )
        body = {"token": token, "code": CODE}
        requests.append(post(f"{API}/auth/verify", body, x_forwarded_for=caller))
    return requests


async def refreshes(url: str, number: int, *, users: int) -> list[bytes]:
    """Make refreshes of new sessions of random users."""
    started = await _sessions(url, [_random.randint(1, users) for _ in range(number)])
    return [
        post(f"{API}/auth/refresh", {"refresh_token": token.text}, x_forwarded_for=_address())
        for token in started
    ]


async def exchanges(url: str, number: int, *, users: int) -> list[bytes]:
    """Make exchanges of authorization codes, each of a browser's session of its own."""
    wanted = [_random.randint(1, users) for _ in range(number)]
    await postgres.execute(url, _CLIENT)
    now = system_clock()
    codes = [
        authorization_code.issue(
            _AUTHORIZATION_REQUEST,
            user_id=str(rows.user_id(user)),
            phone=rows.phone(user),
            session_id=str(uuid4()),
            browser_session_id=str(browser.session_id),
            now=now,
            keys=_keys,
        )
        for user, browser in zip(wanted, await _sessions(url, wanted), strict=True)
    ]
    return [exchange("/oauth/token", code) for code in codes]


def exchange(path: str, code: str) -> bytes:
    """Make the exchange of a code at a token endpoint, by the client of the benchmark."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": VERIFIER,
    }
    basic = b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    content = urlencode(form).encode()
    headers = {
        "authorization": f"Basic {basic}",
        "content-type": "application/x-www-form-urlencoded",
        "content-length": str(len(content)),
        "x_forwarded_for": _address(),
    }
    return _request("POST", path, content, headers)


async def reads(url: str, path: str, users: Sequence[int]) -> list[bytes]:
    """Make GET requests of a path by these users, each with a session of their own."""
    return [
        get(API + path, authorization=each, x_forwarded_for=_address())
        for each in await _access_tokens(url, users)
    ]


async def activations(url: str, users: Sequence[int], *, invite_code: str) -> list[bytes]:
    """Let each of these users activate an invite code."""
    content = json.dumps({"invite_code": invite_code}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(content))}
    return [
        _request(
            "PUT",
            f"{API}/profile/inviter",
            content,
            {**headers, "authorization": each, "x_forwarded_for": _address()},
        )
        for each in await _access_tokens(url, users)
    ]


async def _access_tokens(url: str, users: Sequence[int]) -> list[str]:
    """Return the header with the access token of a new session for each of these users."""
    return [
        "Bearer "
        + tokens.issue_access(
            Authentication(
                user_id=rows.user_id(user),
                session_id=token.session_id,
                at=system_clock(),
                methods=(),
            ),
            issuer=_issuer,
            grant=_issuer.own_grant,
            now=system_clock(),
            keys=_keys,
            token_bytes=secrets.token_bytes,
        )
        for user, token in zip(users, await _sessions(url, users), strict=True)
    ]


async def users_page(url: str, *, limit: int) -> bytes:
    """Make a GET request of the newest users, with a new API key."""
    key = api_key.new(secrets.token_bytes)
    record = ("bench", api_key.digest(key), system_clock())
    await postgres.copy(url, "api_keys", ["name", "digest", "created_at"], [record])
    return get(f"{API}/users?limit={limit}", authorization=f"Bearer {key}")


async def _sessions(url: str, users: Sequence[int]) -> list[RefreshToken]:
    """Add a session for each of these users, and return its refresh token."""
    now = system_clock()
    started = [tokens.new_refresh(uuid4(), token_bytes=secrets.token_bytes) for _ in users]
    await rows.add(
        url,
        "sessions",
        [
            *("id", "user_id", "family_digest", "refresh_digest", "user_agent"),
            *("proof", "created_at", "last_used_at"),
        ],
        [
            (
                token.session_id,
                rows.user_id(user),
                tokens.family_digest(token),
                tokens.digest(token),
                USER_AGENT,
                Proof.SENT,
                now,
                now,
            )
            for user, token in zip(users, started, strict=True)
        ],
    )
    return started


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
