"""API keys: bearer tokens for administration by programs."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from referral.core import seal
from referral.core.errors import InvalidRequest

# Tells a key from an access token, and lets scanners of source code find one that leaked
PREFIX = "rk_"
MAX_NAME_LENGTH = 100

_BYTES = 32


def new(token_bytes: Callable[[int], bytes]) -> str:
    """A new key. token_bytes(n): n unpredictable bytes."""
    return PREFIX + seal.base64url_encode(token_bytes(_BYTES))


def is_api_key(token: str) -> bool:
    """Whether a bearer token can be no other kind."""
    return token.startswith(PREFIX)


def digest(key: str) -> str:
    """What the database keeps of a key. 256 random bits need neither salt nor a slow hash."""
    return seal.base64url_encode(sha256(key.encode()).digest())


def parse_name(text: str) -> str:
    """A key's name, by which the audit trail tells who did something. Raises InvalidRequest."""
    name = text.strip()
    if not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable():
        raise InvalidRequest.field("name", f"1 to {MAX_NAME_LENGTH} characters that print.")
    return name
