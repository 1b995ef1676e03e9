"""Cursors: the last row of a page, as the opaque text that asks for the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from referral.core import seal
from referral.core.errors import InvalidRequest

Row: TypeAlias = Mapping[str, Any]

LARGEST_PAGE = 1000
DEFAULT_PAGE = 100


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Lists run from the newest to the oldest, by time and then by id."""

    at: datetime
    id: UUID


def page(rows: Sequence[Row], limit: int, *, by: str) -> tuple[Sequence[Row], str | None]:
    """The rows of a page and the text that asks for the next; None where this is the last.

    rows: one more than the limit, where there are more. by: the name of the time they run by.
    """
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], write(Cursor(last[by], UUID(last["id"])))


def write(cursor: Cursor) -> str:
    return seal.to_text(msgspec.json.encode(cursor))


def read(text: str) -> Cursor:
    """Raises InvalidRequest for any text that `write` did not write."""
    try:
        cursor = msgspec.json.decode(seal.from_text(text), type=Cursor)
        if cursor.at.tzinfo == UTC and write(cursor) == text:
            return cursor
    except (seal.BadToken, msgspec.DecodeError, RecursionError):
        pass
    raise InvalidRequest.field("cursor", "Use the next_cursor of an earlier answer.")
