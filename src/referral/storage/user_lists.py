"""Queries for lists of users: which users a list shows, its order, and how many there are."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from referral.core import search as searches
from referral.core.cursor import AnyCursor
from referral.core.search import Search, Word
from referral.storage import database, pagination, users
from referral.storage.pagination import Page

Order = Literal["newest", "oldest", "most_invitees"]
"""The orders that an index has."""

# GLOB's special characters. Within brackets they stand for themselves
_GLOB_SPECIAL = "*?["


class Selection(Struct, frozen=True, kw_only=True):
    """The users that a list shows: those who match all that is given."""

    search: Search | None = None
    is_blocked: bool = False
    """Only blocked users."""
    is_admin: bool = False
    """Only administrators."""
    inviter_id: UUID | None = None
    joined_from: datetime | None = None
    joined_until: datetime | None = None
    order: Order = "newest"


async def page(selection: Selection, *, after: AnyCursor | None, limit: int) -> Page:
    """Return a page of users who are not deleted, with their inviters' codes."""
    conditions, values = await _conditions(selection)
    column = "invitee_count" if selection.order == "most_invitees" else "created_at"
    return await pagination.paginate(
        users.ROWS + conditions,
        *values,
        by=f"users.{column}",
        after=after,
        limit=limit,
        oldest_first=selection.order == "oldest",
        query=database.query_replica,
    )


async def count(selection: Selection, *, most: int) -> int:
    """Return how many users match, or `most` if there are more."""
    conditions, values = await _conditions(selection)
    found = f"SELECT 1 FROM users WHERE users.deleted_at IS NULL{conditions} LIMIT {most:d}"  # noqa: S608 - our own text
    (row,) = await database.query_replica(
        f"SELECT count(*) AS number FROM ({found}) AS found",  # noqa: S608 - our own text
        *values,
    )
    number: int = row["number"]
    return number


class _Values(list[object]):
    """The values of a statement that is being composed."""

    def add(self, value: object) -> str:
        """Add a value and return its placeholder."""
        self.append(value)
        return f"${len(self)}"


async def _conditions(selection: Selection) -> tuple[str, _Values]:
    """Return conditions that begin with AND, and the values of their placeholders."""
    values = _Values()
    found = []
    if (search := selection.search) is not None:
        found.append(await _match_exactly(search, values) or _match_text(search, values))
    # In lower case, as in the partial indexes: SQLite does not use them for TRUE
    if selection.is_blocked:
        found.append("users.is_blocked = true")
    if selection.is_admin:
        found.append("users.is_admin = true")
    if selection.inviter_id is not None:
        found.append(f"users.inviter_id = {values.add(selection.inviter_id)}")
    if selection.joined_from is not None:
        found.append(f"users.created_at >= {values.add(selection.joined_from)}")
    if selection.joined_until is not None:
        found.append(f"users.created_at <= {values.add(selection.joined_until)}")
    return "".join(f" AND ({condition})" for condition in found), values


async def _match_exactly(search: Search, values: _Values) -> str | None:
    """Return a condition that an index answers: an id, a link, or a phone that some user has.

    Return None if the search is none of these.
    """
    if search.user_id is not None:
        return f"users.id = {values.add(search.user_id)}"
    if search.is_link:
        return f"users.invite_code = {values.add(search.invite_code)}"
    found = await users.find_by_phones(search.phones)
    placeholders = ", ".join(values.add(user.phone) for user in found)
    return f"users.phone IN ({placeholders})" if found else None


def _match_text(search: Search, values: _Values) -> str:
    conditions = [" AND ".join(_match_word(word, values) for word in search.words)]
    conditions += [_match_digits(digits, values) for digits in search.digits]
    if search.invite_code is not None:
        conditions.append(f"users.invite_code = {values.add(search.invite_code)}")
    return " OR ".join(conditions)


def _match_word(word: Word, values: _Values) -> str:
    conditions = [_contains("name", word.text, values), _contains("email", word.text, values)]
    if word.digits is not None:
        conditions.append(_match_digits(word.digits, values))
    return f"({' OR '.join(conditions)})"


def _match_digits(digits: str, values: _Values) -> str:
    pattern = f"{digits}%" if digits.startswith("+") else f"%{digits}%"
    return f"users.phone LIKE {values.add(pattern)}"


def _contains(column: str, text: str, values: _Values) -> str:
    """Return the condition that a column contains this text, in upper or lower case."""
    characters = searches.case_variants(text)
    if database.is_postgres():
        # re.escape() puts a backslash before the special characters of ASCII, as PostgreSQL wants
        pattern = "".join(f"[{each}]" if len(each) > 1 else re.escape(each) for each in characters)
        return f"users.{column} ~ {values.add(pattern)}"
    pattern = "".join(
        f"[{each}]" if len(each) > 1 or each in _GLOB_SPECIAL else each for each in characters
    )
    return f"users.{column} GLOB {values.add(f'*{pattern}*')}"
