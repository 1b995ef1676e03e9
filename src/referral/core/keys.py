"""Every key the service uses: one purpose, one key, derived from a secret (HKDF, RFC 5869).

There are two rings. One comes from `REFERRAL_SECRET`, which lists one secret or, while it
rotates, several. The other comes from the *kept* secrets: random, stored in the database sealed
by the first ring, and sealed anew when `REFERRAL_SECRET` rotates. What has to outlive a rotation
hangs on the kept ring: device tokens (180 days), digests of phones (365 days), refresh tokens.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MIN_SECRET_BYTES = 32

_SALT = b"referral/1"
_KID_BYTES = 6


class Purpose(StrEnum):
    """What a key is for. The words go into the derivation: changing one changes the key."""

    SIGN_IN = "challenge: sign in"
    CHANGE_PHONE = "challenge: change phone"
    CODE = "digest of a code"
    ACCESS = "access token"
    DATA_KEY = "data key"
    DEVICE = "device token"
    REFRESH = "successor of a refresh token"
    COUNTER = "key of a counter"
    ACTIVATION = "digest of a phone that activated"


@dataclass(frozen=True, slots=True)
class Key:
    """A secret for one purpose and its public name. `secret` stays out of every repr."""

    kid: str
    secret: bytes = field(repr=False)


class Keyring:
    """The keys of a list of secrets, in their order: the first makes, all read."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """secrets: at least one, each of 32 bytes or more."""
        if not secrets or any(len(secret) < MIN_SECRET_BYTES for secret in secrets):
            raise ValueError(f"a keyring takes secrets of {MIN_SECRET_BYTES} bytes or more")
        self._secrets = tuple(secrets)
        self._keys: dict[Purpose, tuple[Key, ...]] = {}

    def all(self, purpose: Purpose) -> tuple[Key, ...]:
        """The keys that read."""
        if purpose not in self._keys:
            self._keys[purpose] = tuple(_derive(secret, purpose) for secret in self._secrets)
        return self._keys[purpose]

    def current(self, purpose: Purpose) -> Key:
        """The key that makes."""
        return self.all(purpose)[0]


def _derive(secret: bytes, purpose: Purpose) -> Key:
    kid = urlsafe_b64encode(_hkdf(secret, b"kid", _KID_BYTES)).decode()
    # 16 bytes more than P-256 has, so that reduction leaves no bias (FIPS 186-5, A.2.1)
    length = 48 if purpose is Purpose.ACCESS else 32
    return Key(kid, _hkdf(secret, b"key: " + purpose.encode(), length))


def _hkdf(secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=_SALT, info=info).derive(secret)
