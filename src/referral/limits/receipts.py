"""Receipts: what a message was charged to, to refund it if its provider does not bill it.

A receipt travels with the message: its provider returns it in the delivery report. So nothing is
stored for each message. It is encrypted, because the provider could otherwise tell from which
address a code was requested.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import NamedTuple

from referral.core import seal
from referral.core.keys import Keyring, Purpose
from referral.limits.scope import LimitScope

# The time in Unix seconds, the weight, whether the scope is exempt, the phone's digits, and the
# challenge's id. The address follows
_HEAD = struct.Struct(">IH?Q16s")


class Receipt(NamedTuple):
    """What a message was charged to. scope: whose limits. at: when, to the second."""

    challenge_id: str
    scope: LimitScope
    at: datetime


def encode(receipt: Receipt, keys: Keyring) -> str:
    """Encrypt a receipt. The text has at most 100 characters: Telegram takes 128."""
    scope = receipt.scope
    head = _HEAD.pack(
        int(receipt.at.timestamp()),
        scope.weight,
        scope.is_exempt,
        int(scope.phone.lstrip("+")),
        seal.base64url_decode(receipt.challenge_id),
    )
    return seal.encrypt_short(head + _pack(scope.address), keys.current(Purpose.RECEIPT))


def decode(text: str, keys: Keyring, *, counter_key: bytes) -> Receipt | None:
    """Decrypt a receipt; None if it is none of ours. counter_key: see LimitScope."""
    try:
        payload = seal.decrypt_short(text, keys.all(Purpose.RECEIPT))
    except seal.BadToken:
        return None
    at, weight, is_exempt, digits, challenge_id = _HEAD.unpack_from(payload)
    address = payload[_HEAD.size :]
    return Receipt(
        challenge_id=seal.base64url_encode(challenge_id),
        scope=LimitScope(
            phone=f"+{digits}",
            address=str(ip_address(address)) if address else "",
            known_device=is_exempt,
            key=counter_key,
            weight=weight,
        ),
        at=datetime.fromtimestamp(at, UTC),
    )


def _pack(address: str) -> bytes:
    try:
        return ip_address(address).packed
    except ValueError:
        # Without trusted proxies, it can be the name of a socket
        return b""
