"""Data keys: random secrets, stored encrypted, which survive a rotation of REFERRAL_SECRET."""

from __future__ import annotations

import msgspec

from referral.core import seal
from referral.core.keys import Keyring, Purpose

DATA_KEY_BYTES = 32


def encrypt(data_key: bytes, *, keys: Keyring) -> str:
    """Encrypt a data key with the current key."""
    return seal.encrypt(msgspec.json.encode(data_key), keys.current(Purpose.DATA_KEY))


def decrypt(encrypted: str, *, keys: Keyring) -> bytes | None:
    """Decrypt a data key. Return None if none of the keys encrypted it."""
    try:
        return msgspec.json.decode(seal.decrypt(encrypted, keys.all(Purpose.DATA_KEY)), type=bytes)
    except seal.BadToken:
        return None


def is_current(encrypted: str, *, keys: Keyring) -> bool:
    """Return whether the current key encrypted this data key. If not, encrypt it again."""
    try:
        seal.decrypt(encrypted, [keys.current(Purpose.DATA_KEY)])
    except seal.BadToken:
        return False
    return True
