"""Reviews: people approve or reject the entries that wait for a decision."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from referral import audit
from referral.context import Actor, Context
from referral.core import freshness, ids, reward_status
from referral.core.errors import NotFound, ReviewConflict
from referral.core.reward_status import Review
from referral.rewards import activation_queries, entries, entry_queries, ledger
from referral.rewards.entries import EntryView
from referral.storage import database
from referral.storage.models import RewardEntry

Decision = Literal[Review.APPROVED, Review.REJECTED]


async def decide(ctx: Context, entry_id: str, decision: Decision, *, by: Actor) -> EntryView:
    """Approve or reject an entry in review. The same decision again changes nothing.

    Raises SignInAgain, NotFound, and ReviewConflict for an entry that is not in review.
    """
    freshness.require(by.signed_in_at, now=ctx.clock())
    now, parsed = ctx.clock(), ids.parse(entry_id)

    async def work() -> None:
        entry = await _require(parsed)
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
    (view,) = await entries.views([await _require(parsed)], now=now)
    return view


async def _require(entry_id: UUID) -> RewardEntry:
    entry = await entry_queries.get(entry_id)
    if entry is None:
        raise NotFound("There is no entry with this id.", reason="no such entry")
    return entry
