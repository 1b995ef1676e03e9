"""Lists of entries, and the balances that they add up to."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from referral.context import Context
from referral.core import cursor as cursors
from referral.core import ids, reward_status
from referral.core.errors import InvalidRequest, NotFound
from referral.core.reward_status import Status
from referral.rewards import entries, entry_queries, list_queries, rule_queries, rules
from referral.rewards.entries import EntryView, OwnEntry
from referral.rewards.entry_queries import Balance
from referral.storage import users as user_queries


class EntryPage(Struct, frozen=True, kw_only=True):
    items: list[EntryView]
    next_cursor: str | None


class UserRewards(Struct, frozen=True, kw_only=True):
    """A user's balances, and a page of the entries."""

    balances: list[Balance]
    items: list[EntryView]
    next_cursor: str | None


class OwnRewards(Struct, frozen=True, kw_only=True):
    """The balances of the signed-in user, and a page of the entries."""

    balances: list[Balance]
    items: list[OwnEntry]
    next_cursor: str | None


async def own(ctx: Context, user_id: UUID, *, cursor: str | None, limit: int) -> OwnRewards:
    """Return a user's balances and entries, newest first. Raises InvalidRequest."""
    after = cursors.parse(cursor) if cursor is not None else None
    now = ctx.clock()
    rows, next_cursor = await list_queries.page(after=after, limit=limit, now=now, user_id=user_id)
    return OwnRewards(
        balances=await entry_queries.balances(user_id, now=now),
        items=[entries.own_view(row, now=now) for row in rows],
        next_cursor=next_cursor,
    )


async def of_user(ctx: Context, user_id: str, *, cursor: str | None, limit: int) -> UserRewards:
    """Return the balances and entries of any user, also a deleted one.

    Raises NotFound, InvalidRequest.
    """
    after = cursors.parse(cursor) if cursor is not None else None
    parsed = ids.parse(user_id)
    if not await user_queries.find_all([parsed]):
        raise NotFound("There is no user with this id.", reason="no such user")
    now = ctx.clock()
    rows, next_cursor = await list_queries.page(after=after, limit=limit, now=now, user_id=parsed)
    return UserRewards(
        balances=await entry_queries.balances(parsed, now=now),
        items=await entries.views(rows, now=now),
        next_cursor=next_cursor,
    )


async def page(
    ctx: Context,
    *,
    status: Status | None,
    unit: str | None,
    user_id: str | None = None,
    cursor: str | None,
    limit: int,
) -> EntryPage:
    """Return a page of entries, newest first. Raises InvalidRequest, and NotFound for a bad id.

    user_id: of the beneficiary; None for everybody's entries.
    """
    after = cursors.parse(cursor) if cursor is not None else None
    if unit is not None:
        rules.parse_unit(unit)
    now = ctx.clock()
    rows, next_cursor = await list_queries.page(
        after=after,
        limit=limit,
        now=now,
        user_id=None if user_id is None else ids.parse(user_id),
        status=status,
        unit=unit,
    )
    return EntryPage(items=await entries.views(rows, now=now), next_cursor=next_cursor)


async def balances(ctx: Context, user_id: UUID) -> list[Balance]:
    """Return a user's balances, by unit."""
    return await entry_queries.balances(user_id, now=ctx.clock())


async def units() -> list[str]:
    """Return the units of all rules, also of deleted ones."""
    return sorted(await rule_queries.units())


def parse_status(text: str | None) -> Status | None:
    """Parse the status by which a list is filtered. Raises InvalidRequest."""
    for known in reward_status.STATUSES:
        if text == known:
            return known
    if text is None:
        return None
    raise InvalidRequest.field("status", f"Give one of {', '.join(reward_status.STATUSES)}.")
