"""Kept secrets: random, stored sealed, so that what hangs on them outlives a rotation."""

from __future__ import annotations

import msgspec

from referral.core import seal
from referral.core.keys import Keyring, Purpose

DATA_KEY_BYTES = 32


def encrypt(secret: bytes, *, keys: Keyring) -> str:
    """The secret, sealed by the first key."""
    return seal.encrypt(msgspec.json.encode(secret), keys.current(Purpose.DATA_KEY))


def decrypt(sealed: str, *, keys: Keyring) -> bytes | None:
    """The secret, or None when no listed key sealed it."""
    try:
        return msgspec.json.decode(seal.decrypt(sealed, keys.all(Purpose.DATA_KEY)), type=bytes)
    except seal.BadToken:
        return None


def is_current(sealed: str, *, keys: Keyring) -> bool:
    """Whether the first key sealed it; if not, it is to be wrapped anew."""
    try:
        seal.decrypt(sealed, [keys.current(Purpose.DATA_KEY)])
    except seal.BadToken:
        return False
    return True
