"""Cursors: the last row of a page, as the opaque text that asks for the next."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from referral.core import seal
from referral.core.errors import InvalidRequest

MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 100


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Lists run from the newest to the oldest, by time and then by id."""

    at: datetime
    id: UUID


def encode(cursor: Cursor) -> str:
    return seal.base64url_encode(msgspec.json.encode(cursor))


def parse(text: str) -> Cursor:
    """Raises InvalidRequest for any text that `write` did not write."""
    try:
        cursor = msgspec.json.decode(seal.base64url_decode(text), type=Cursor)
        if cursor.at.tzinfo == UTC and encode(cursor) == text:
            return cursor
    except (seal.BadToken, msgspec.DecodeError, RecursionError):
        pass
    raise InvalidRequest.field("cursor", "Use the next_cursor of an earlier answer.")
