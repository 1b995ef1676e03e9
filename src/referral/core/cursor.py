"""Cursors: the last row of a page, encoded as the opaque text with which the next is requested."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec

from referral.core import seal
from referral.core.errors import InvalidRequest

MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 100


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A position in a list, which is sorted by time and then by id, newest first."""

    at: datetime
    id: UUID


class CountCursor(msgspec.Struct, frozen=True, array_like=True):
    """A position in a list, which is sorted by a number and then by id, largest first."""

    count: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    id: UUID


AnyCursor: TypeAlias = Cursor | CountCursor


def encode(cursor: AnyCursor) -> str:
    """Encode a cursor as text."""
    return seal.base64url_encode(msgspec.json.encode(cursor))


def parse(text: str) -> Cursor:
    """Parse a cursor. Raises InvalidRequest for any text that `encode` did not return."""
    try:
        cursor = msgspec.json.decode(seal.base64url_decode(text), type=Cursor)
        if cursor.at.tzinfo == UTC and encode(cursor) == text:
            return cursor
    except (seal.BadToken, msgspec.DecodeError, RecursionError):
        pass
    raise _invalid()


def parse_count(text: str) -> CountCursor:
    """Parse a cursor of a list that is sorted by a number. Raises InvalidRequest."""
    try:
        cursor = msgspec.json.decode(seal.base64url_decode(text), type=CountCursor)
        if encode(cursor) == text:
            return cursor
    except (seal.BadToken, msgspec.DecodeError, RecursionError):
        pass
    raise _invalid()


def _invalid() -> InvalidRequest:
    return InvalidRequest.field("cursor", "Use the `next_cursor` of an earlier response.")
