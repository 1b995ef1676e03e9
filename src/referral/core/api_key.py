"""API keys: bearer tokens for administration by programs."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from referral.core import seal
from referral.core.errors import InvalidRequest

# Distinguishes a key from an access token, and lets secret scanners find one that leaked
PREFIX = "rk_"
MAX_NAME_LENGTH = 100

_BYTES = 32


def new(token_bytes: Callable[[int], bytes]) -> str:
    """Return a new key. token_bytes(n) returns n unpredictable bytes."""
    return PREFIX + seal.base64url_encode(token_bytes(_BYTES))


def is_api_key(token: str) -> bool:
    """Return whether a bearer token is an API key, valid or not."""
    return token.startswith(PREFIX)


def digest(key: str) -> str:
    """Return the digest to store. 256 random bits need neither a salt nor a slow hash."""
    return seal.base64url_encode(sha256(key.encode()).digest())


def parse_name(text: str) -> str:
    """Parse the name under which the audit trail shows a key. Raises InvalidRequest."""
    name = text.strip()
    if not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable():
        raise InvalidRequest.field("name", f"Give 1 to {MAX_NAME_LENGTH} printable characters.")
    return name
