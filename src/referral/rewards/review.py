"""Lists of entries, and the decisions of reviewers."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from msgspec import Struct

from referral import audit
from referral.context import Actor, Context
from referral.core import cursor as cursors
from referral.core import freshness, ids, reward_status
from referral.core.errors import InvalidRequest, NotFound, ReviewConflict
from referral.core.reward_status import Review, Status
from referral.rewards import (
    activation_queries,
    entries,
    entry_pages,
    entry_queries,
    ledger,
    rule_queries,
    rules,
)
from referral.rewards.entries import EntryView, OwnEntry
from referral.rewards.entry_queries import Balance
from referral.storage import database
from referral.storage import users as user_queries

Decision = Literal[Review.APPROVED, Review.REJECTED]


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
    rows, next_cursor = await entry_pages.page(after=after, limit=limit, now=now, user_id=user_id)
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
    rows, next_cursor = await entry_pages.page(after=after, limit=limit, now=now, user_id=parsed)
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
    rows, next_cursor = await entry_pages.page(
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


async def decide(ctx: Context, entry_id: str, decision: Decision, *, by: Actor) -> EntryView:
    """Approve or reject an entry in review. The same decision again changes nothing.

    Raises SignInAgain, NotFound, and ReviewConflict for an entry that is not in review.
    """
    freshness.require(by.signed_in_at, now=ctx.clock())
    now, parsed = ctx.clock(), ids.parse(entry_id)

    async def work() -> None:
        entry = await entry_queries.get(parsed)
        if entry is None:
            raise _no_such_entry()
        await activation_queries.lock(entry.user_id)
        await entry.refresh_from_db()
        if entry.review == decision:
            return
        if reward_status.derive(entry, now=now) != "in_review":
            raise ReviewConflict
        if decision == Review.APPROVED:
            await ledger.approve(ctx, entry, now=now)
        else:
            await ledger.reject(ctx, entry, now=now)
        await audit.record(ctx, f"reward_{decision}", by=by, user=entry.user_id, entry=entry_id)

    await database.transaction(work)
    entry = await entry_queries.get(parsed)
    if entry is None:
        raise _no_such_entry()
    (view,) = await entries.views([entry], now=now)
    return view


def parse_status(text: str | None) -> Status | None:
    """Parse the status by which a list is filtered. Raises InvalidRequest."""
    for known in reward_status.STATUSES:
        if text == known:
            return known
    if text is None:
        return None
    raise InvalidRequest.field("status", f"Give one of {', '.join(reward_status.STATUSES)}.")


def _no_such_entry() -> NotFound:
    return NotFound("There is no entry with this id.", reason="no such entry")
