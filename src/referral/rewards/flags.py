"""Flags: signs that an invitee may not be a new person. They belong to the activation.

- `same_address`: the inviter signed in or refreshed from the invitee's address within a day.
- `same_device`: the invitee's code was requested on a device of the inviter's phone.
- `burst`: more than 5 people activated the inviter's code in an hour.
- `neighbours`: 3 or more people activated it within 30 days whose phones differ only in the last
  four digits.

The last two flag the whole group. A window does not include its end: two activations an hour apart
are not in one hour. Flags are never removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")

SAME_ADDRESS_WITHIN = timedelta(days=1)
BURST_SIZE, BURST_WITHIN = 6, timedelta(hours=1)
NEIGHBOURS, NEIGHBOURS_WITHIN = 3, timedelta(days=30)
_DIGITS_OF_A_BLOCK = 4


class Flag(StrEnum):
    """The names of the flags."""

    SAME_ADDRESS = "same_address"
    SAME_DEVICE = "same_device"
    BURST = "burst"
    NEIGHBOURS = "neighbours"


class Origin(Struct, frozen=True):
    """Where an activation came from.

    address: the caller's. shared_device: the digest of another phone on whose device the code was
    requested; empty if there is none, or for an activation without a challenge.
    """

    address: str
    shared_device: str = ""


def parse(text: str) -> frozenset[Flag]:
    """Parse the text of `Activation.flags`."""
    return frozenset(map(Flag, text.split()))


def text_of(flags: Iterable[Flag]) -> str:
    """Return the text to store as `Activation.flags`."""
    return " ".join(sorted(flags))


def block_of(phone: str) -> tuple[str, str]:
    """Return the first and the last phone of the block of numbers that a phone is in."""
    start = phone[:-_DIGITS_OF_A_BLOCK]
    return start + "0" * _DIGITS_OF_A_BLOCK, start + "9" * _DIGITS_OF_A_BLOCK


def burst_of(newest: T, times: Mapping[T, datetime]) -> set[T]:
    """Return the burst that an invitee is in; an empty set if there is none.

    times: when this invitee and those before and after activated the code: `BURST_SIZE` - 1 on each
    side are enough, because a longer burst was flagged as it grew.
    """
    order = sorted(times, key=lambda each: times[each])
    windows = [order[start : start + BURST_SIZE] for start in range(len(order) - BURST_SIZE + 1)]
    return {
        each
        for window in windows
        if newest in window and times[window[-1]] - times[window[0]] < BURST_WITHIN
        for each in window
    }
