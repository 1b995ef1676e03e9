"""Keyed digests of texts, addresses and devices, which tell only whether two are equal.

The keys are data keys: a digest made before a rotation of `REFERRAL_SECRET` is still recognised.
"""

from __future__ import annotations

import hmac
from hashlib import blake2b

from referral.core import seal
from referral.core.address import networks, parse_address
from referral.core.keys import Keyring, Purpose

_BYTES = 16


def of_text(text: str, purpose: Purpose, *, data_keys: Keyring) -> list[str]:
    """Return the digests of a text that are kept for long, the current key's first."""
    return [
        seal.base64url_encode(hmac.digest(key.secret, text.encode(), "sha256"))
        for key in data_keys.all(purpose)
    ]


def of_address(address: str, *, data_keys: Keyring) -> str | None:
    """Return the digest of an address to store; None if the text is no address."""
    return next(iter(all_of_address(address, data_keys=data_keys)), None)


def all_of_address(address: str, *, data_keys: Keyring) -> list[str]:
    """Return the digests of an address, one for each data key, the current key's first.

    An IPv6 address counts as its /64. The list is empty if the text is no address, as for the peer
    of a Unix socket, which all clients would share.
    """
    if parse_address(address) is None:
        return []
    network, _ = networks(address)[0]
    return _digests(network, Purpose.ADDRESS, data_keys)


def of_device(phone: str, *, user_id: str, generation: int, data_keys: Keyring) -> list[str]:
    """Return the digests of a phone on whose devices another phone signs in.

    generation: that of the user's device tokens, so that a revoked token's digest is not
    recognised.
    """
    return _digests(f"{phone}|{user_id}|{generation}", Purpose.SHARED_DEVICE, data_keys)


def _digests(text: str, purpose: Purpose, data_keys: Keyring) -> list[str]:
    return [
        seal.base64url_encode(blake2b(text.encode(), key=key.secret, digest_size=_BYTES).digest())
        for key in data_keys.all(purpose)
    ]
