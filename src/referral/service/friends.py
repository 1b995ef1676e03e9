"""Invitees and inviters as the pages show them: with a first name, and what they earned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from referral.context import Context
from referral.core import cursor as cursors
from referral.core import profile_fields
from referral.rewards import overview
from referral.rewards.entry_queries import Balance
from referral.service import invitations
from referral.service.access import Authenticated
from referral.storage import invitations as invitation_queries
from referral.storage import users as user_queries
from referral.storage.models import User


class Friend(Struct, frozen=True, kw_only=True):
    """An invitee. phone: None if it has changed. earned: for the inviter, by unit."""

    name: str | None
    phone: str | None
    activated_at: datetime
    earned: Sequence[Balance]


class FriendPage(Struct, frozen=True, kw_only=True):
    items: list[Friend]
    next_cursor: str | None


async def page(
    ctx: Context, signed_in: Authenticated, *, cursor: str | None, limit: int
) -> FriendPage:
    """Return a page of this user's invitees, newest first. Raises InvalidRequest."""
    after, inviter_id = cursors.parse(cursor) if cursor is not None else None, signed_in.user.id
    rows, next_cursor = await invitation_queries.page(inviter_id, after=after, limit=limit)
    ids = [UUID(row["id"]) for row in rows]
    earned = await overview.earned_by(inviter_id, ids, now=ctx.clock())
    return FriendPage(
        items=[
            Friend(
                name=first_name(row["name"]),
                phone=shown.phone,
                activated_at=shown.activated_at,
                earned=earned.get(user_id, ()),
            )
            for user_id, row in zip(ids, rows, strict=True)
            for shown in [invitations.shown_invitee(ctx, row)]
        ],
        next_cursor=next_cursor,
    )


async def inviter_name(user: User) -> str | None:
    """Return the first name of a user's inviter, or None if there is none to show."""
    if user.inviter_id is None:
        return None
    return first_name((await user_queries.get(user.inviter_id)).name)


async def inviter_code(user: User) -> str | None:
    """Return the invite code that a user has activated."""
    if user.inviter_id is None:
        return None
    return (await user_queries.get(user.inviter_id)).invite_code


def first_name(name: str | None) -> str | None:
    """Return the first name to show to other users, or None."""
    shown = profile_fields.public_name(name)
    return shown.split()[0] if shown else None
