"""Redemptions: users spend what they earned, in the app."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from referral import observability
from referral.context import Actor, Context
from referral.core import ids
from referral.core.errors import (
    AccountBlocked,
    InsufficientBalance,
    NotFound,
    RedemptionConflict,
)
from referral.core.reward_status import Kind
from referral.rewards import activation_queries, entries, entry_queries, request_digest, rules
from referral.rewards.entries import EntryView
from referral.storage import database
from referral.storage.models import Redemption, RewardEntry


class NewRedemption(Struct, frozen=True, kw_only=True):
    """A redemption as it was sent. content: the parsed body, which recognises a repeat."""

    user_id: str
    redemption_id: str
    unit: str
    amount: int
    content: Any


async def redeem(ctx: Context, wanted: NewRedemption, *, by: Actor) -> tuple[EntryView, bool]:
    """Subtract an amount from a user's balance. Return the entry and whether it is new.

    Raises InvalidRequest, NotFound, AccountBlocked, InsufficientBalance, and RedemptionConflict if
    the id is known with other content, or of a reversed redemption.
    """
    redemption_id = rules.parse_id(wanted.redemption_id, field="redemption_id")
    rules.parse_unit(wanted.unit)
    rules.require_range(wanted.amount, 1, rules.MAX_AMOUNT, field="amount")
    content = {"user": wanted.user_id, "content": wanted.content}
    now = ctx.clock()
    known = await entry_queries.find_redemption(redemption_id)
    if known is None:
        redemption, entry = _new(ctx, wanted, content, now=now)
        if await database.transaction(lambda: _store(redemption, entry, now=now)):
            _log("redeemed", redemption, by=by)
            return entries.view(entry, flags=[], now=now), True
        known = await entry_queries.find_redemption(redemption_id)
    if known is None:
        raise database.Conflict
    if known.reversed_at is not None or not request_digest.matches(ctx, known.digest, content):
        raise RedemptionConflict
    return entries.view(await _entry(known), flags=[], now=now), False


async def reverse(ctx: Context, redemption_id: str, *, by: Actor) -> EntryView:
    """Give the amount of a redemption back. Return the entry that does; a repeat returns the same.

    Raises NotFound.
    """
    redemption = None
    if rules.is_id(redemption_id):
        redemption = await entry_queries.find_redemption(redemption_id)
    if redemption is None:
        raise NotFound(
            "There is no redemption with this id: nothing was redeemed by it.",
            reason="no such redemption",
        )
    now = ctx.clock()
    if await database.transaction(lambda: _give_back(ctx, redemption, now=now)):
        _log("redemption_reversed", redemption, by=by)
    returned = await entry_queries.reversal_of(redemption.entry_id)
    return entries.view(returned, flags=[], now=now)


def _new(
    ctx: Context, wanted: NewRedemption, content: Any, *, now: datetime
) -> tuple[Redemption, RewardEntry]:
    """Return a redemption and its entry, neither of them stored. Raises NotFound for a bad id."""
    entry = RewardEntry(
        id=ids.new(ctx.token_bytes),
        kind=Kind.REDEMPTION,
        user_id=ids.parse(wanted.user_id),
        unit=wanted.unit,
        amount=-wanted.amount,
        cause=wanted.redemption_id,
        created_at=now,
    )
    redemption = Redemption(
        id=wanted.redemption_id,
        digest=request_digest.compute(ctx, content),
        entry_id=entry.id,
        user_id=entry.user_id,
    )
    return redemption, entry


async def _store(redemption: Redemption, entry: RewardEntry, *, now: datetime) -> bool:
    """Add a redemption. Return False if it is known. Raises what `redeem` does."""
    user = await activation_queries.lock(entry.user_id)
    if await entry_queries.find_redemption(redemption.id) is not None:
        return False
    if user is None or user.is_deleted:
        raise NotFound("There is no user with this id.", reason="no such user")
    if user.is_blocked:
        raise AccountBlocked("The account of this user is blocked. Unblock it first.")
    balances = await entry_queries.balances(entry.user_id, now=now)
    available = next((each.available for each in balances if each.unit == entry.unit), 0)
    if available + entry.amount < 0:
        raise InsufficientBalance
    if not await entry_queries.add_redemption(redemption):
        return False
    await entry_queries.add([entry])
    await entry_queries.add_to_balances({(entry.user_id, entry.unit): entry.amount})
    return True


async def _give_back(ctx: Context, redemption: Redemption, *, now: datetime) -> bool:
    """Reverse a redemption. Return False if it is already."""
    await activation_queries.lock(redemption.user_id)
    if not await entry_queries.reverse_redemption(redemption.id, now=now):
        return False
    entry = await _entry(redemption)
    returned = RewardEntry(
        id=ids.new(ctx.token_bytes),
        kind=Kind.RETURN,
        user_id=entry.user_id,
        unit=entry.unit,
        amount=-entry.amount,
        cause=redemption.id,
        created_at=now,
        reverses_id=entry.id,
    )
    await entry_queries.add([returned])
    await entry_queries.mark_reversed([entry], now=now)
    await entry_queries.add_to_balances({(entry.user_id, entry.unit): returned.amount})
    return True


async def _entry(redemption: Redemption) -> RewardEntry:
    entry = await entry_queries.get(redemption.entry_id)
    if entry is None:
        raise LookupError("entries are never removed")
    return entry


def _log(action: str, redemption: Redemption, *, by: Actor) -> None:
    observability.record(
        action,
        by=by.name,
        address=by.address,
        user=redemption.user_id,
        redemption=redemption.id,
    )
