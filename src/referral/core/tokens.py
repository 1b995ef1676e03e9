"""Access tokens (RFC 9068), refresh tokens and device tokens.

Access tokens are ES256 JWTs that any service can verify with the published keys.

Refresh tokens are rotated (RFC 6819, section 5.2.2.3): each use replaces the token, so a thief and
the owner cannot both go on using copies of one. A refresh token is 64 random bytes: the session's
id, a *family* secret that all tokens of a session share, and a *rotating* part that changes at
every use. The database stores digests of the family and of the live token.

Rotation must not sign out two tabs that refresh at the same time, or a client that did not receive
the response. So the successor of a token is derived from it, as a keyed digest: every repeat yields
the same successor, byte for byte, and nothing has to be stored for that. A *late repeat*, which
comes after the grace period, gets a different successor: a keyed digest of the token and of a
number that the session stores and that rises with each late repeat. A token of the right family
that is neither the live one nor its direct predecessor was used before: somebody has a copy.

A device token marks a device on which its phone has signed in. It is encrypted like a challenge.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from referral.core import seal
from referral.core.errors import InvalidRefreshToken, Unauthorized
from referral.core.keys import Key, Keyring, Purpose
from referral.core.proof import Proof

# How long the direct predecessor of the live refresh token can be exchanged for the live one
REFRESH_GRACE = timedelta(seconds=30)
DEVICE_LIFE = timedelta(days=180)

# The scope of this service's own API: the profile, the sessions, the invitations of the user
ACCOUNT_SCOPE = "account"

_ACCESS_TYPE = "at+jwt"  # RFC 9068, section 2.1
# 12 MB, at 1.5 KB each
_MAX_CACHED_TOKENS = 8192
_ID_BYTES, _FAMILY_BYTES, _ROTATING_BYTES = 16, 16, 32
_REFRESH_BYTES = _ID_BYTES + _FAMILY_BYTES + _ROTATING_BYTES


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of an access token (RFC 9068, section 2.2). Times: Unix seconds.

    scope: separated by spaces. auth_time: when a code was last verified. amr: RFC 8176.
    """

    iss: str
    aud: str
    client_id: str
    sub: str
    sid: str
    iat: int
    exp: int
    jti: str
    # Tokens of the release before these claims have none of them
    scope: str = ACCOUNT_SCOPE
    auth_time: int = 0
    amr: tuple[str, ...] = ()


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What an access token is good for. audience: the `aud`."""

    client_id: str
    audience: str
    scopes: tuple[str, ...]


class Authentication(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed in, and how.

    at: when a code was last verified. methods: the `amr` (RFC 8176).
    """

    user_id: UUID
    session_id: UUID
    at: datetime
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """The issuer of access tokens, their audience and their lifetime in seconds."""

    url: str
    audience: str
    access_life: int

    @property
    def own_grant(self) -> Grant:
        """The grant of a sign-in by this service's own API or pages."""
        return Grant(client_id=self.audience, audience=self.audience, scopes=(ACCOUNT_SCOPE,))


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A parsed refresh token."""

    session_id: UUID
    family: bytes
    rotating: bytes

    @property
    def text(self) -> str:
        return seal.base64url_encode(self.session_id.bytes + self.family + self.rotating)


def issue_access(
    authentication: Authentication,
    *,
    issuer: Issuer,
    grant: Grant,
    now: datetime,
    keys: Keyring,
    token_bytes: Callable[[int], bytes],
) -> str:
    """Return an access token, valid from now for the issuer's `access_life`."""
    issued_at = int(now.timestamp())
    claims = AccessClaims(
        iss=issuer.url,
        aud=grant.audience,
        client_id=grant.client_id,
        sub=str(authentication.user_id),
        sid=str(authentication.session_id),
        iat=issued_at,
        exp=issued_at + issuer.access_life,
        jti=seal.base64url_encode(token_bytes(_ID_BYTES)),
        scope=" ".join(grant.scopes),
        auth_time=int(authentication.at.timestamp()),
        amr=authentication.methods,
    )
    return seal.sign(msgspec.json.encode(claims), keys.current(Purpose.ACCESS), typ=_ACCESS_TYPE)


def verify_access(token: str, *, issuer: Issuer, now: datetime, keys: Keyring) -> AccessClaims:
    """Return the claims of a valid access token, whatever it is good for, with no leeway.

    Raises Unauthorized.
    """
    claims = read_access(token, issuer=issuer, keys=keys)
    if now.timestamp() >= claims.exp:
        raise Unauthorized(reason="expired")
    return claims


def read_access(token: str, *, issuer: Issuer, keys: Keyring) -> AccessClaims:
    """Return the claims of an access token that we issued, expired or not. Raises Unauthorized."""
    try:
        claims = _signed_claims(token, keys.all(Purpose.ACCESS))
    except seal.BadToken as error:
        raise Unauthorized(reason=str(error)) from None
    if claims.iss != issuer.url:
        raise Unauthorized(reason="issued by another issuer")
    return claims


def public_keys(keys: Keyring) -> list[dict[str, Any]]:
    """Return the JWKs (RFC 7517) with which other services verify access tokens."""
    return [seal.public_jwk(key) for key in keys.all(Purpose.ACCESS)]


def new_refresh(session_id: UUID, *, token_bytes: Callable[[int], bytes]) -> RefreshToken:
    """Return a session's first refresh token. token_bytes(n) returns n unpredictable bytes."""
    return RefreshToken(session_id, token_bytes(_FAMILY_BYTES), token_bytes(_ROTATING_BYTES))


def parse_refresh(text: str) -> RefreshToken:
    """Parse a refresh token. Raises InvalidRefreshToken if the text cannot be one."""
    try:
        raw = seal.base64url_decode(text)
    except seal.BadToken as error:
        raise InvalidRefreshToken(reason=str(error)) from None
    if len(raw) != _REFRESH_BYTES:
        raise InvalidRefreshToken(reason="length")
    return RefreshToken(
        UUID(bytes=raw[:_ID_BYTES]),
        raw[_ID_BYTES : _ID_BYTES + _FAMILY_BYTES],
        raw[_ID_BYTES + _FAMILY_BYTES :],
    )


def successors(
    token: RefreshToken, *, data_keys: Keyring, late_repeats_tat: int | None = None
) -> tuple[RefreshToken, ...]:
    """Return the successors of a token, one for each data key, the current key's first.

    Issue the first. The client may hold any of them, issued while that key was the current one.
    late_repeats_tat: for a late repeat, the number that makes its successor differ from earlier
    ones.
    """
    text = token.text if late_repeats_tat is None else f"{token.text}.{late_repeats_tat}"
    return tuple(
        RefreshToken(
            token.session_id, token.family, hmac.digest(key.secret, text.encode(), "sha256")
        )
        for key in data_keys.all(Purpose.REFRESH)
    )


def digest(token: RefreshToken) -> bytes:
    """Return the digest to store. 256 random bits need neither a salt nor a key."""
    return sha256(token.text.encode()).digest()


def family_digest(token: RefreshToken) -> bytes:
    """Return the digest to store of the family."""
    return sha256(token.family).digest()


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a device token.

    expires_at: Unix seconds. generation: that of the user's device tokens; a higher one revokes all
    earlier tokens. proof: how the phone was proven at the sign-in.
    """

    phone: str
    expires_at: int
    user_id: str
    generation: int
    proof: Proof


def issue_device(
    phone: str, *, user_id: str, generation: int, proof: Proof, now: datetime, data_keys: Keyring
) -> str:
    """Return a token for a device on which this phone has just signed in."""
    device = Device(
        phone=phone,
        expires_at=int((now + DEVICE_LIFE).timestamp()),
        user_id=user_id,
        generation=generation,
        proof=proof,
    )
    return seal.encrypt(msgspec.json.encode(device), data_keys.current(Purpose.DEVICE))


def verify_device(token: str, *, now: datetime, data_keys: Keyring) -> Device | None:
    """Return the content of a device token of any phone; None if it is invalid or expired.

    The caller has to compare the phone, and the generation with that in the database.
    """
    try:
        device = msgspec.json.decode(
            seal.decrypt(token, data_keys.all(Purpose.DEVICE)), type=Device
        )
    except (seal.BadToken, msgspec.ValidationError):  # ValidationError: issued by another release
        return None
    return device if now.timestamp() < device.expires_at else None


@lru_cache(maxsize=_MAX_CACHED_TOKENS)
def _signed_claims(token: str, keys: tuple[Key, ...]) -> AccessClaims:
    """Return the claims if one of the keys signed them, expired or not. Raises seal.BadToken.

    Cached, since a client sends the same token for 15 minutes, and verifying it takes 250
    microseconds, longer than the rest of a read. A token that does not verify raises and is not
    cached, so nobody can fill the cache with invalid tokens.
    """
    payload = seal.verify(token, keys, typ=_ACCESS_TYPE)
    return msgspec.json.decode(payload, type=AccessClaims)
