"""Key derivation: each purpose has a key of its own, derived with HKDF (RFC 5869).

There are two keyrings. The first is derived from `REFERRAL_SECRET`, which lists one secret or,
while it rotates, several. The second is derived from the *data keys*: random, stored in the
database encrypted with the first keyring, and encrypted again when `REFERRAL_SECRET` rotates.
Everything that has to outlive a rotation depends on the data keys: device tokens (180 days),
digests of phones (365 days), addresses and devices, refresh tokens, the keys of counters, and the
key pairs of ID tokens.
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
    """The use of a key. The values are input to the key derivation: a new value means a new key."""

    SIGN_IN = "sign-in challenge"
    CHANGE_PHONE = "change-phone challenge"
    CODE = "sign-in code digest"
    ACCESS = "access token"
    DATA_KEY = "data key"
    DEVICE = "device token"
    REFRESH = "refresh token successor"
    COUNTER = "counter key"
    ACTIVATION = "activated phone digest"
    AUTHORIZATION_REQUEST = "authorization request"
    AUTHORIZATION_CODE = "authorization code"
    LOGOUT_REQUEST = "logout request"
    SIGNING_KEY = "ID token signing key"
    REWARD_REQUEST = "reward request digest"
    ADDRESS = "session address digest"
    SHARED_DEVICE = "shared device digest"
    RECEIPT = "message receipt"
    HANDSHAKE = "webhook verify token"


@dataclass(frozen=True, slots=True)
class Key:
    """A secret for one purpose and its public key id. The secret is left out of the repr."""

    kid: str
    secret: bytes = field(repr=False)


class Keyring:
    """The keys derived from a list of secrets, in their order.

    For each purpose, the first secret's key is the current one, which encrypts and signs. Every
    secret's key decrypts and verifies.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """Take at least one secret, each of 32 bytes or more. Raises ValueError otherwise."""
        if not secrets or any(len(secret) < MIN_SECRET_BYTES for secret in secrets):
            raise ValueError(f"a keyring takes secrets of {MIN_SECRET_BYTES} bytes or more")
        self._secrets = tuple(secrets)
        self._keys: dict[Purpose, tuple[Key, ...]] = {}

    def all(self, purpose: Purpose) -> tuple[Key, ...]:
        """Return the keys that decrypt and verify, the current one first."""
        if purpose not in self._keys:
            self._keys[purpose] = tuple(_derive(secret, purpose) for secret in self._secrets)
        return self._keys[purpose]

    def current(self, purpose: Purpose) -> Key:
        """Return the key that encrypts and signs."""
        return self.all(purpose)[0]


def _derive(secret: bytes, purpose: Purpose) -> Key:
    kid = urlsafe_b64encode(_hkdf(secret, b"kid", _KID_BYTES)).decode()
    # 16 bytes more than a scalar of P-256, so that reducing them modulo its order leaves no bias
    # (FIPS 186-5, A.2.1)
    length = 48 if purpose is Purpose.ACCESS else 32
    return Key(kid, _hkdf(secret, b"key: " + purpose.encode(), length))


def _hkdf(secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=_SALT, info=info).derive(secret)
