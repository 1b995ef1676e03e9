"""The tree of invitees below a user, limited to what fits on a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from referral.core import cursor as cursors
from referral.service import users
from referral.storage import invitations as invitation_queries

LEVELS = 3
MAX_PER_MEMBER = 20
# Keeps a page small and each level's query short, whatever the shape of the tree
MAX_PER_LEVEL = 60


@dataclass(slots=True, kw_only=True)
class Member:
    """A user in a tree.

    phone: E.164, or None if the user was deleted. activated_at: None on the lower levels, where it
    is not shown. invitees: the newest ones. invitee_count: the number of all.
    """

    id: UUID
    phone: str | None
    name: str | None
    invitee_count: int
    is_blocked: bool
    activated_at: datetime | None = None
    invitees: list[Member] = field(default_factory=list)

    @property
    def more(self) -> int:
        """How many invitees are not shown."""
        return max(0, self.invitee_count - len(self.invitees))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A tree of invitees.

    inviter: the inviter of the user at the top. items: a page of the user's invitees, newest first.
    """

    inviter: Member | None
    items: list[Member]
    next_cursor: str | None


async def page(user_id: UUID, *, cursor: str | None) -> Tree:
    """Return LEVELS levels of a user's invitees, with one query for each level.

    Raises NotFound, InvalidRequest.
    """
    after = cursors.parse(cursor) if cursor is not None else None
    user = await users.require(user_id)
    rows, next_cursor = await invitation_queries.page(user_id, after=after, limit=MAX_PER_MEMBER)
    items = level = [_member(row) for row in rows]
    for _ in range(LEVELS - 1):
        level = await _load_invitees(level)
    inviter = _member(vars(user.inviter)) if user.inviter else None
    return Tree(inviter=inviter, items=items, next_cursor=next_cursor)


async def _load_invitees(level: list[Member]) -> list[Member]:
    """Load the newest invitees of a level's members, at most MAX_PER_LEVEL, and return them."""
    inviters = [member for member in level if member.invitee_count][:MAX_PER_LEVEL]
    if not inviters:
        return []
    share = min(MAX_PER_MEMBER, MAX_PER_LEVEL // len(inviters))
    invitees: dict[UUID, list[Member]] = defaultdict(list)
    for row in await invitation_queries.newest([member.id for member in inviters], limit=share):
        invitees[row["inviter_id"]].append(_member(row))
    for member in inviters:
        member.invitees = invitees[member.id]
    return [invitee for member in inviters for invitee in member.invitees]


def _member(row: Mapping[str, Any]) -> Member:
    return Member(
        id=UUID(str(row["id"])),
        phone=row["phone"],
        name=row["name"],
        invitee_count=row["invitee_count"],
        is_blocked=row["is_blocked"],
        activated_at=row.get("activated_at"),
    )
