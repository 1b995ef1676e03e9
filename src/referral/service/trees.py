"""Whom a user invited, whom those invited, and so on: as much of it as a page can show."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from referral.core import cursor as cursors
from referral.core.errors import NotFound
from referral.storage import invitations, users
from referral.storage.models import User

LEVELS = 3
AT_MOST_OF_ONE = 20
# However the tree is shaped, a page of it stays small and each level one short query
AT_MOST_OF_A_LEVEL = 60


@dataclass(slots=True, kw_only=True)
class Member:
    """Somebody in a tree. invitees: the newest of them; invitee_count: how many there are.

    phone: E.164; None of who is deleted. activated_at: of the first level alone.
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
        """How many invitees there are besides those shown."""
        return max(0, self.invitee_count - len(self.invitees))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """inviter: of the user at its top. items: the first level, a page of it, newest first."""

    inviter: Member | None
    items: list[Member]
    next_cursor: str | None


async def page(user_id: UUID, *, cursor: str | None) -> Tree:
    """Three levels of invitees, with one query for each. Raises NotFound, InvalidRequest."""
    after = cursors.parse(cursor) if cursor is not None else None
    user = await users.find(user_id)
    if user is None:
        raise NotFound("There is no user of this id.", reason="no such user")
    rows, next_cursor = await invitations.page(user_id, after=after, limit=AT_MOST_OF_ONE)
    items = level = [
        Member(
            id=UUID(row["id"]),
            phone=row["phone"],
            name=row["name"],
            invitee_count=row["invitee_count"],
            is_blocked=row["is_blocked"],
            activated_at=row["activated_at"],
        )
        for row in rows
    ]
    for _ in range(LEVELS - 1):
        level = await _grow(level)
    return Tree(
        inviter=_member(user.inviter) if user.inviter else None,
        items=items,
        next_cursor=next_cursor,
    )


async def _grow(level: list[Member]) -> list[Member]:
    """Give members their newest invitees, each as many as there is room for; answers those."""
    inviters = [member for member in level if member.invitee_count][:AT_MOST_OF_A_LEVEL]
    if not inviters:
        return []
    share = min(AT_MOST_OF_ONE, AT_MOST_OF_A_LEVEL // len(inviters))
    found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in await invitations.newest([member.id for member in inviters], limit=share):
        found[row.pop("inviter_id")].append(row)
    for member in inviters:
        member.invitees = [Member(**row) for row in found[member.id]]
    return [invitee for member in inviters for invitee in member.invitees]


def _member(user: User) -> Member:
    return Member(
        id=user.id,
        phone=user.phone,
        name=user.name,
        invitee_count=user.invitee_count,
        is_blocked=user.is_blocked,
        activated_at=user.activated_at,
    )
