"""Cursors: the last row of a page, encoded as the opaque text with which the next is requested."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Protocol, TypeAlias, TypeVar
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


class Page(Protocol):
    """A page of a list. next_cursor: None on the last one."""

    @property
    def next_cursor(self) -> str | None: ...


AnyCursor: TypeAlias = Cursor | CountCursor
SomeCursor = TypeVar("SomeCursor", Cursor, CountCursor)
SomePage = TypeVar("SomePage", bound=Page)


def encode(cursor: AnyCursor) -> str:
    """Encode a cursor as text."""
    return seal.base64url_encode(msgspec.json.encode(cursor))


def parse(text: str) -> Cursor:
    """Parse a cursor. Raises InvalidRequest for any text that `encode` did not return."""
    cursor = _parse(text, Cursor)
    if cursor.at.tzinfo != UTC:
        raise _invalid()
    return cursor


def parse_count(text: str) -> CountCursor:
    """Parse a cursor of a list that is sorted by a number. Raises InvalidRequest."""
    return _parse(text, CountCursor)


def _parse(text: str, kind: type[SomeCursor]) -> SomeCursor:
    try:
        cursor = msgspec.json.decode(seal.base64url_decode(text), type=kind)
        if encode(cursor) == text:
            return cursor
    except (seal.BadToken, msgspec.DecodeError, RecursionError):
        pass
    raise _invalid()


def _invalid() -> InvalidRequest:
    return InvalidRequest.field("cursor", "Use the `next_cursor` of an earlier response.")


async def every_page(read: Callable[[str | None], Awaitable[SomePage]]) -> AsyncIterator[SomePage]:
    """Yield the pages of a list. read: returns the page after a cursor, or the first one."""
    cursor = None
    while True:
        page = await read(cursor)
        yield page
        if page.next_cursor is None:
            return
        cursor = page.next_cursor
