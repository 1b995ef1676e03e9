"""The scope of a limit: the phone, the device and the address that a request is about."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from msgspec import Struct

from referral.core import seal
from referral.core.address import networks
from referral.limits import gcra
from referral.limits.gcra import HOUR, Bucket, Charge
from referral.limits.policy import LimitName

_KEY_BYTES = 16


class LimitScope(Struct, frozen=True):
    """A phone, whether the device is one on which it signed in before, and the client's address.

    A known device has counters of its own for its phone, which strangers cannot touch.

    key: a secret from which the keys of counters are derived, so that their table does not reveal
    who was counted. as_stranger: the known device left so many messages unused that limits for
    strangers apply. weight: what a message by its channel counts for in the cost guard and in the
    day's sends overall.
    """

    phone: str
    address: str
    known_device: bool
    key: bytes
    as_stranger: bool = False
    weight: int = 1

    @property
    def is_exempt(self) -> bool:
        """Whether it skips limits by address and the cost guard, and may use the reserved sends."""
        return self.known_device and not self.as_stranger

    def counter_key(self, name: str, subject: str) -> str:
        """Return a counter's key: a keyed digest of the limit's name and of its subject."""
        return counter_key(self.key, f"{name}|{subject}")

    def phone_key(self, name: str) -> str:
        """Return the key of a counter of the phone: the known device's or the strangers'."""
        device = "known" if self.known_device else "stranger"
        return self.counter_key(name, f"{self.phone}|{device}")

    def phone_charge(self, name: LimitName, bucket: Bucket) -> Charge:
        return gcra.new_charge(name, self.phone_key(name), bucket)

    def address_charges(self, name: LimitName, size: int) -> list[Charge]:
        """Build the charges to the networks of the address, of `size` in an hour for the smallest.

        None for an exempt device.
        """
        if self.is_exempt:
            return []
        return [
            gcra.new_charge(name, self.counter_key(name, network), Bucket(size * times, HOUR))
            for network, times in networks(self.address)
        ]


# Cached, since a send uses most of its keys three times, and the next send uses some again
@lru_cache(maxsize=4096)
def counter_key(key: bytes, text: str) -> str:
    """Return a counter's key. text: what is counted."""
    # BLAKE2 with a key (RFC 7693) takes a quarter of an HMAC's time, and a send has ten of these
    digest = blake2b(text.encode(), key=key, digest_size=_KEY_BYTES).digest()
    return seal.base64url_encode(digest)
