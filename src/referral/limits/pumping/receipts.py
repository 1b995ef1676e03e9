"""Receipts: what a message counted for, to refund it if its provider does not bill it.

A receipt travels with the message: its provider returns it in the delivery report. So nothing is
stored for each message. It is encrypted, because the provider could otherwise tell which phones
asked for codes from the same address.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from referral.core import seal
from referral.core.keys import Keyring, Purpose

# The hour since the epoch, the weight, and whether the cost guard counted it
_HEAD = struct.Struct(">IH?")
_KEY_BYTES = 16


class Receipt(NamedTuple):
    """What a message counted for.

    hour: since the epoch. networks: the keys of the client's networks in the cost guard; None if it
    did not count the message.
    """

    hour: int
    weight: int
    networks: tuple[str, ...] | None


def encode(receipt: Receipt, keys: Keyring) -> str:
    """Encrypt a receipt. The text has at most 112 characters: Telegram takes 128."""
    networks = receipt.networks or ()
    head = _HEAD.pack(receipt.hour, receipt.weight, receipt.networks is not None)
    payload = head + b"".join(map(seal.base64url_decode, networks))
    return seal.encrypt_short(payload, keys.current(Purpose.RECEIPT))


def decode(text: str, keys: Keyring) -> Receipt | None:
    """Decrypt a receipt; None if it is none of ours."""
    try:
        payload = seal.decrypt_short(text, keys.all(Purpose.RECEIPT))
    except seal.BadToken:
        return None
    hour, weight, is_guarded = _HEAD.unpack_from(payload)
    found = range(_HEAD.size, len(payload), _KEY_BYTES)
    networks = tuple(seal.base64url_encode(payload[at : at + _KEY_BYTES]) for at in found)
    return Receipt(hour, weight, networks if is_guarded else None)
