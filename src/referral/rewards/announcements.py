"""The webhook events of entries: `reward.earned`, `reward.available`, `reward.reversed`.

`reward.available` is written as soon as it is known when an entry will be available, and waits in
the outbox until then. Whether the entry is available is checked at the delivery.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from referral.context import Context
from referral.core import ids
from referral.rewards import entries as views
from referral.rewards import entry_queries
from referral.storage.models import RewardEntry
from referral.webhooks import events
from referral.webhooks.events import Announcement, RewardType


async def earned(
    ctx: Context,
    entries: Sequence[RewardEntry],
    *,
    flags: Mapping[UUID, Sequence[str]],
    now: datetime,
) -> None:
    """Announce entries that were made."""
    if ctx.endpoint is None:
        return
    data = {each.id: _data(each, flags.get(each.id, ()), now) for each in entries}
    await events.add_rewards(ctx, _news(ctx, "reward.earned", entries, data, now))
    waiting = [each for each in entries if each.announcement_id is not None]
    await events.add_rewards(ctx, _announced(waiting, data, now))


async def available(ctx: Context, entries: Sequence[RewardEntry], *, now: datetime) -> None:
    """Announce entries that will be available, or are already, since they were approved."""
    if ctx.endpoint is not None:
        data = await _load(entries, now)
        await events.add_rewards(ctx, _announced(entries, data, now))


async def reversed_(ctx: Context, entries: Sequence[RewardEntry], *, now: datetime) -> None:
    """Announce entries that were reversed or rejected."""
    if ctx.endpoint is not None:
        data = await _load(entries, now)
        await events.add_rewards(ctx, _news(ctx, "reward.reversed", entries, data, now))


async def _load(entries: Sequence[RewardEntry], now: datetime) -> dict[UUID, dict[str, Any]]:
    flags = await entry_queries.flags(entries)
    return {each.id: _data(each, flags.get(each.id, ()), now) for each in entries}


def _data(entry: RewardEntry, flags: Iterable[str], now: datetime) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(views.view(entry, flags=sorted(flags), now=now))
    return data


def _news(
    ctx: Context,
    event_type: RewardType,
    entries: Iterable[RewardEntry],
    data: Mapping[UUID, dict[str, Any]],
    now: datetime,
) -> list[Announcement]:
    return [
        Announcement(
            id=ids.new(ctx.token_bytes),
            type=event_type,
            at=now,
            data=data[each.id],
            user_id=each.user_id,
        )
        for each in entries
    ]


def _announced(
    entries: Iterable[RewardEntry], data: Mapping[UUID, dict[str, Any]], now: datetime
) -> list[Announcement]:
    return [
        Announcement(
            id=each.announcement_id,
            type="reward.available",
            at=max(now, each.available_at),
            data=data[each.id] | {"status": "available"},
            # Outside the user's queue, which it would hold up until it is due
            user_id=None,
        )
        for each in entries
        if each.announcement_id is not None and each.available_at is not None
    ]
