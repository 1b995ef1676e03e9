"""Access tokens (RFC 9068), refresh tokens and device tokens.

Access tokens are ES256 JWTs that any service can check by the published keys.

A refresh token is 64 random bytes: the session's id, a *family* that all tokens of a session
share, and a part that changes at every use. The database keeps digests of the family and of the
live token. The successor of a token is a keyed digest of it, so two tabs, or a client whose
answer was lost, get the same one, byte for byte, and nothing has to be stored for that. If the
answer was lost for longer, the token gets another successor instead: a keyed digest of it and of a
number that the session keeps and that rises with each such repeat. A token of the right family
that is neither the live one nor its direct predecessor was used before: somebody has a copy.
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

# How long the predecessor of the live refresh token still answers with the live one
REFRESH_GRACE = timedelta(seconds=30)
DEVICE_LIFE = timedelta(days=180)

_ACCESS_TYPE = "at+jwt"  # RFC 9068, section 2.1
# With 1.5 KB each, 12 MB
_SIGNATURES_REMEMBERED = 8192
_ID_BYTES, _FAMILY_BYTES, _ROTATING_BYTES = 16, 16, 32
_REFRESH_BYTES = _ID_BYTES + _FAMILY_BYTES + _ROTATING_BYTES


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of an access token (RFC 9068, section 2.2). Times: Unix seconds."""

    iss: str
    aud: str
    client_id: str
    sub: str
    sid: str
    iat: int
    exp: int
    jti: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who makes access tokens, for whom, and their life in seconds."""

    url: str
    audience: str
    access_life: int


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token taken apart."""

    session_id: UUID
    family: bytes
    rotating: bytes

    @property
    def text(self) -> str:
        return seal.base64url_encode(self.session_id.bytes + self.family + self.rotating)


def issue_access(
    *,
    user_id: str,
    session_id: str,
    issuer: Issuer,
    now: datetime,
    keys: Keyring,
    token_bytes: Callable[[int], bytes],
) -> str:
    """An access token, good from now for the issuer's access life."""
    issued_at = int(now.timestamp())
    claims = AccessClaims(
        iss=issuer.url,
        aud=issuer.audience,
        client_id=issuer.audience,
        sub=user_id,
        sid=session_id,
        iat=issued_at,
        exp=issued_at + issuer.access_life,
        jti=seal.base64url_encode(token_bytes(_ID_BYTES)),
    )
    return seal.sign(msgspec.json.encode(claims), keys.current(Purpose.ACCESS), typ=_ACCESS_TYPE)


def verify_access(token: str, *, issuer: Issuer, now: datetime, keys: Keyring) -> AccessClaims:
    """The claims of a good access token, with no leeway. Raises Unauthorized."""
    try:
        claims = _signed_claims(token, keys.all(Purpose.ACCESS))
    except seal.BadToken as error:
        raise Unauthorized(reason=str(error)) from None
    if claims.iss != issuer.url or claims.aud != issuer.audience:
        raise Unauthorized(reason="made for another issuer or audience")
    if now.timestamp() >= claims.exp:
        raise Unauthorized(reason="expired")
    return claims


@lru_cache(maxsize=_SIGNATURES_REMEMBERED)
def _signed_claims(token: str, keys: tuple[Key, ...]) -> AccessClaims:
    """The claims that one of the keys signed, be they good or not. Raises seal.BadToken.

    Remembered, for it hangs on nothing but what it is given, and takes 250 microseconds, longer
    than all the rest of a read: a client sends one token for 15 minutes. What does not open is not
    remembered, so a stranger takes no room.
    """
    payload = seal.verify(token, keys, typ=_ACCESS_TYPE)
    return msgspec.json.decode(payload, type=AccessClaims)


def public_keys(keys: Keyring) -> dict[str, Any]:
    """The JWK set (RFC 7517) by which other services check access tokens."""
    return {"keys": [seal.public_jwk(key) for key in keys.all(Purpose.ACCESS)]}


def new_refresh(session_id: UUID, *, token_bytes: Callable[[int], bytes]) -> RefreshToken:
    """The first refresh token of a session. token_bytes(n): n unpredictable bytes."""
    return RefreshToken(session_id, token_bytes(_FAMILY_BYTES), token_bytes(_ROTATING_BYTES))


def parse_refresh(text: str) -> RefreshToken:
    """Raises InvalidRefreshToken when this cannot be one."""
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
    """The token that follows this one: the first is made, any of them may have been.

    late: for a successor in place of an earlier one, a number that the session has once.
    """
    text = token.text if late_repeats_tat is None else f"{token.text}.{late_repeats_tat}"
    return tuple(
        RefreshToken(
            token.session_id, token.family, hmac.digest(key.secret, text.encode(), "sha256")
        )
        for key in data_keys.all(Purpose.REFRESH)
    )


def digest(token: RefreshToken) -> bytes:
    """What the database keeps of a refresh token. 256 random bits need neither salt nor key."""
    return sha256(token.text.encode()).digest()


def family_digest(token: RefreshToken) -> bytes:
    """What the database keeps of a session's family."""
    return sha256(token.family).digest()


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What a device token carries.

    expires_at: Unix seconds. generation: the user's, when it was issued. proof: of the sign-in.
    """

    phone: str
    expires_at: int
    user_id: str
    generation: int
    proof: Proof


def issue_device(
    phone: str, *, user_id: str, generation: int, proof: Proof, now: datetime, data_keys: Keyring
) -> str:
    """A token that marks a device on which this phone has signed in."""
    device = Device(
        phone=phone,
        expires_at=int((now + DEVICE_LIFE).timestamp()),
        user_id=user_id,
        generation=generation,
        proof=proof,
    )
    return seal.encrypt(msgspec.json.encode(device), data_keys.current(Purpose.DEVICE))


def verify_device(token: str, phone: str, *, now: datetime, data_keys: Keyring) -> Device | None:
    """A device token that opens, is this phone's and is not too old; whether its user still has
    devices is for the database to say.
    """
    try:
        device = msgspec.json.decode(
            seal.decrypt(token, data_keys.all(Purpose.DEVICE)), type=Device
        )
    except (seal.BadToken, msgspec.ValidationError):  # the latter: of another release
        return None
    return device if device.phone == phone and now.timestamp() < device.expires_at else None
