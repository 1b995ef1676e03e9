"""ID tokens: who signed in, for one app, signed with RS256 (OpenID Connect Core, section 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from referral.core import seal
from referral.core.seal import RsaKey
from referral.core.tokens import Authentication

LIFE_SECONDS = 900

_TYPE = "JWT"


class Hint(Struct, frozen=True, kw_only=True):
    """The claims of an `id_token_hint`, which may have expired."""

    iss: str
    sub: str
    aud: str
    sid: str


def issue(
    *,
    issuer: str,
    client_id: str,
    authentication: Authentication,
    nonce: str | None,
    access_token: str,
    claims: Mapping[str, object],
    now: datetime,
    key: RsaKey,
) -> str:
    """Return an ID token. claims: those of the granted scopes."""
    issued_at = int(now.timestamp())
    content: dict[str, Any] = {
        "iss": issuer,
        "sub": str(authentication.user_id),
        "aud": client_id,
        "exp": issued_at + LIFE_SECONDS,
        "iat": issued_at,
        "auth_time": int(authentication.at.timestamp()),
        **({"nonce": nonce} if nonce is not None else {}),
        "at_hash": _at_hash(access_token),
        "sid": str(authentication.session_id),
        "amr": authentication.methods,
        **claims,
    }
    return seal.sign_rs256(msgspec.json.encode(content), key, typ=_TYPE)


def read_hint(token: str, *, issuer: str, keys: Sequence[RsaKey]) -> Hint | None:
    """Return the claims of an ID token of ours, expired or not; None for any other text."""
    try:
        hint = msgspec.json.decode(seal.verify_rs256(token, keys, typ=_TYPE), type=Hint)
    except (seal.BadToken, msgspec.DecodeError):
        return None
    return hint if hint.iss == issuer else None


def _at_hash(access_token: str) -> str:
    """Return the left half of a token's SHA-256 (OpenID Connect Core, section 3.1.3.6)."""
    return seal.base64url_encode(sha256(access_token.encode()).digest()[:16])
